"""Measure how fast a network scores: clips in batches, one clip alone, and frame by frame; no video is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from kinema.clips.windows import WindowOptions, plan_windows
from kinema.engines.parity import probe_clips
from kinema.inference.live.frames import StreamingScorer
from kinema.inference.live.latency import percentiles
from kinema.inference.live.types import USUAL_WINDOW_S, goes_frame_by_frame
from kinema.machine import peak_memory_mib
from kinema.profiling.report import Speed
from kinema.timing import median_s, times_s

if TYPE_CHECKING:
    from kinema.inference.predictor import Predictor
    from kinema.types import InputSpec

_MINUTE_S = 60.0


def score_first_clip(predictor: Predictor) -> None:
    """Score one clip, which is what a program waits for after its start."""
    predictor.score_clips(probe_clips(predictor.spec, 1))


def measure_speed(predictor: Predictor, seconds: float) -> Speed:
    """Time a network.

    Args:
        predictor: its batch size is that of the clips per second.
        seconds: time for each figure.
    """
    one = probe_clips(predictor.spec, 1)
    alone = percentiles(times_s(lambda: predictor.score_clips(one), seconds))
    count, device = predictor.scorer.batch_size, predictor.scorer.device
    many = probe_clips(predictor.spec, count)
    together = times_s(lambda: predictor.score_clips(many), seconds)
    by_frame: dict[str, float] = {}
    if goes_frame_by_frame(predictor.network):
        score = StreamingScorer(predictor)
        frame = np.zeros((*predictor.spec.size, predictor.spec.num_channels), np.uint8)
        by_frame = percentiles(times_s(lambda: score(frame), seconds))
    on_gpu = device.type == "cuda"
    return Speed(
        clips_per_s=count / median_s(together),
        clip_p50_s=alone["p50"],
        clip_p95_s=alone["p95"],
        step_p50_s=by_frame.get("p50"),
        step_p95_s=by_frame.get("p95"),
        memory_mib=torch.cuda.max_memory_allocated(device) / 2**20 if on_gpu else peak_memory_mib(),
    )


def clips_a_minute(spec: InputSpec, fps: float) -> int:
    """Number of clips that `kinema predict` scores in a minute of video, with its default windows."""
    times = np.arange(round(_MINUTE_S * fps)) / fps
    window_s = USUAL_WINDOW_S if spec.sampling == "spread" and not spec.window_s else None
    return len(plan_windows(spec, times, _MINUTE_S, WindowOptions(window_s=window_s)).frames)
