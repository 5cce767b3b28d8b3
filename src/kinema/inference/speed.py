"""How fast a network answers: many clips at once, one alone, and frame by frame where it can; no film is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from kinema.inference.live import USUAL_WINDOW_S, goes_frame_by_frame
from kinema.inference.pace import percentiles
from kinema.inference.parity import probe_clips
from kinema.inference.stepping import Stepper
from kinema.inference.stopwatch import median_s, times_s
from kinema.inference.windows import WindowOptions, plan_windows
from kinema.machine import peak_memory_mib
from kinema.models import VARIANTS, build, is_backbone
from kinema.models.checkpoint import ModelCard
from kinema.models.hub_source import is_hub_name
from kinema.models.trained import load_trained, looks_trained

if TYPE_CHECKING:
    from kinema.inference.predictor import Predictor
    from kinema.models.network import Network
    from kinema.types import InputSpec

_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Speed:
    """What was measured. Times are in seconds; a clip's are those of one clip alone, from bytes to scores."""

    clips_per_s: float
    clip_p50_s: float
    clip_p95_s: float
    step_p50_s: float | None
    step_p95_s: float | None
    memory_mib: float | None


def open_network(model: str) -> tuple[Network, ModelCard]:
    """A network to be measured, in evaluation mode: a trained one, or one of that name with always the same random weights.

    Args:
        model: a checkpoint or run folder, a network's name, published weights, a network of timm, or hf:ENCODER.

    Raises:
        UnknownName: there is none of that name.
        CheckpointError: it cannot be used.
    """
    if not is_hub_name(model) and looks_trained(model, VARIANTS):
        return load_trained(model)
    torch.manual_seed(0)
    if is_hub_name(model):
        network = build("video_encoder", backbone=model)
    elif model not in VARIANTS and is_backbone(model):
        network = build("single_frame", backbone=model)
    else:
        network = build(model)
    labels = tuple(f"class {number}" for number in range(network.num_classes))
    return network.eval(), ModelCard.of(network, labels)


def first_answer(predictor: Predictor) -> None:
    """Score one clip: what a program waits for after it was started."""
    predictor.score_clips(probe_clips(predictor.spec, 1))


def measure_speed(predictor: Predictor, seconds: float) -> Speed:
    """Time a network.

    Args:
        predictor: its batch size is that of the clips a second.
        seconds: for each of the figures.
    """
    one = probe_clips(predictor.spec, 1)
    alone = times_s(lambda: predictor.score_clips(one), seconds)
    count = predictor.scorer.batch_size
    many = probe_clips(predictor.spec, count)
    together = times_s(lambda: predictor.score_clips(many), seconds)
    steps = _step_times(predictor, seconds) if goes_frame_by_frame(predictor.network) else []
    share, step = percentiles(alone), percentiles(steps) if steps else {}
    return Speed(
        clips_per_s=count / median_s(together),
        clip_p50_s=share["p50"],
        clip_p95_s=share["p95"],
        step_p50_s=step.get("p50"),
        step_p95_s=step.get("p95"),
        memory_mib=_memory_mib(predictor.scorer.device),
    )


def clips_a_minute(spec: InputSpec, fps: float) -> int:
    """Clips that `kinema predict` looks at in a minute of film, with its usual steps."""
    times = np.arange(round(_MINUTE_S * fps)) / fps
    window_s = USUAL_WINDOW_S if spec.sampling == "spread" and not spec.window_s else None
    return len(plan_windows(spec, times, _MINUTE_S, WindowOptions(window_s=window_s)).frames)


def _step_times(predictor: Predictor, seconds: float) -> list[float]:
    step = Stepper(predictor)
    frame = np.zeros((*predictor.spec.size, predictor.spec.num_channels), np.uint8)
    return times_s(lambda: step(frame), seconds)


def _memory_mib(device: torch.device) -> float | None:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return peak_memory_mib()
