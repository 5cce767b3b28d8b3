"""Times are warmed up, repeated and honest; figures follow from them."""

from __future__ import annotations

import pytest

from kinema.inference.predictor import Predictor
from kinema.models import build
from kinema.profiling.speed import clips_a_minute, measure_speed, score_first_clip
from kinema.types import InputSpec
from kinema.weights.checkpoint import ModelCard


@pytest.mark.parametrize(
    ("spec", "count"),
    [
        (InputSpec(clip_len=15, frame_stride=2), 63),  # a span of 29 frames of 30 a second: 62 and what is left
        (InputSpec(clip_len=4, sampling="spread", window_s=4.0), 29),  # every 2 s, the last one from 56 to 60
        (InputSpec(clip_len=4, sampling="spread"), 59),  # the window of live prediction, 2 s
        (InputSpec(clip_len=1), 121),  # two a second, and the last frame
    ],
)
def test_clips_a_minute_are_those_that_predict_scores(spec, count):
    assert clips_a_minute(spec, 30.0) == count


@pytest.mark.parametrize(("name", "steps"), [("slow_fusion_tiny", False), ("causal_small", True)])
def test_a_network_that_remembers_is_timed_frame_by_frame_too(name, steps):
    network = build(name, num_classes=2, spec={"size": (24, 24), "clip_len": 4})
    predictor = Predictor(network.eval(), ModelCard.of(network, ("a", "b")), device="cpu", batch_size=3)
    score_first_clip(predictor)
    speed = measure_speed(predictor, 0.01)
    assert speed.clips_per_s > 0
    assert 0 < speed.clip_p50_s <= speed.clip_p95_s
    assert (speed.step_p50_s is not None) == steps
    assert speed.memory_mib is None or speed.memory_mib > 50
