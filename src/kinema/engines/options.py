"""Engine options, which travel whole from a command's flags to the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict, Unpack

from kinema.choices import EngineName, FilePrecision
from kinema.errors import with_options


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """Which engine computes a network, on which device and in which precision."""

    engine: EngineName = "auto"
    """What computes: torch, or openvino (on a CPU; the network is converted at the first use); auto is OpenVINO on a CPU
    where it is installed, else torch."""
    device: str = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:1."""
    precision: FilePrecision = "auto"
    """Number format; auto is bf16 where the machine is fast at it, else f32; int8 is that of a file exported so."""
    batch_size: int | None = None
    """Clips that go through the network at once; videos share batches. Left out: eight, on a CPU fewer of large clips."""

    @classmethod
    def of(cls, options: EngineOptions | None = None, **overrides: Unpack[EngineOverrides]) -> EngineOptions:
        """Change some fields of options; None stands for the defaults."""
        return with_options(options or EngineOptions(), overrides)


class LoadOverrides(TypedDict, total=False):
    """The fields of `EngineOptions` except the device, as keyword arguments."""

    engine: EngineName
    precision: FilePrecision
    batch_size: int | None


class EngineOverrides(LoadOverrides, total=False):
    """The fields of `EngineOptions` as keyword arguments."""

    device: str
