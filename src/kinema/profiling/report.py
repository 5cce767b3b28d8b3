"""What `kinema bench` measures of a network, as records. This module does not import torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from kinema.choices import EngineName, Precision
from kinema.engines.options import EngineOptions


@dataclass(frozen=True, slots=True)
class SpeedRequest:
    """What to measure, and how.

    Args:
        model: see `kinema.weights.named.open_network`.
        engine: torch, openvino or auto.
        device: see `Predictor`.
        precision: see `Predictor`.
        batch_size: clips that are scored together, and that a training step learns from.
        seconds: time for each figure.
        train: also time training steps.
        only_start: time only the start.
    """

    model: str
    engine: EngineName = "auto"
    device: str = "auto"
    precision: Precision = "auto"
    batch_size: int = 8
    seconds: float = 2.0
    train: bool = False
    only_start: bool = False

    def engine_options(self) -> EngineOptions:
        """The engine options of the network."""
        return EngineOptions(
            engine=self.engine, device=self.device, precision=self.precision, batch_size=self.batch_size
        )


@dataclass(frozen=True, slots=True)
class StartTimes:
    """Seconds from the start of a process to its first scores: imports, building the network, scoring one clip."""

    import_s: float
    build_s: float
    answer_s: float
    total_s: float


@dataclass(frozen=True, slots=True)
class Speed:
    """Speed of a network. Times are in seconds and for one clip, or one frame (`step`), alone: from bytes to scores."""

    clips_per_s: float
    clip_p50_s: float
    clip_p95_s: float
    step_p50_s: float | None
    step_p95_s: float | None
    memory_mib: float | None


@dataclass(frozen=True, slots=True)
class SpeedReport:
    """What a process measured of its network, and what computed the network there."""

    start: StartTimes
    engine: str
    device: str
    precision: str
    speed: Speed
    train_clips_per_s: float | None

    def to_json(self) -> dict[str, object]:
        """As a plain dictionary, with the fields of `speed` beside the others."""
        computed_by = {"engine": self.engine, "device": self.device, "precision": self.precision}
        figures = {**asdict(self.speed), "train_clips_per_s": self.train_clips_per_s}
        return {"start": asdict(self.start), **computed_by, **figures}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SpeedReport:
        """The inverse of `to_json`."""
        others = dict(values)
        start = StartTimes(**others.pop("start"))
        return cls(start=start, speed=Speed(**{item.name: others.pop(item.name) for item in fields(Speed)}), **others)
