"""How fast a network answers: many clips at once, one alone, and frame by frame where it can; no film is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from kinema.clips.windows import WindowOptions, plan_windows
from kinema.engines.parity import probe_clips
from kinema.inference.live.frames import Stepper
from kinema.inference.live.latency import percentiles
from kinema.inference.live.types import USUAL_WINDOW_S, goes_frame_by_frame
from kinema.machine import peak_memory_mib
from kinema.timing import median_s, times_s

if TYPE_CHECKING:
    from kinema.inference.predictor import Predictor
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
