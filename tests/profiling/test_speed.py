"""Times are warmed up, repeated and honest; figures follow from them."""

from __future__ import annotations

import pytest
import torch

from kinema.errors import UnknownName
from kinema.inference.predictor import Predictor
from kinema.models import build
from kinema.profiling.peaks import matrix_gflops, memory_gb_s
from kinema.profiling.speed import clips_a_minute, first_answer, measure_speed, open_network
from kinema.timing import items_per_s, times_s
from kinema.types import InputSpec
from kinema.weights.checkpoint import ModelCard


class Clock:
    """Time goes on when something happens."""

    def __init__(self) -> None:
        self.now_s, self.calls = 0.0, 0

    def __call__(self) -> float:
        return self.now_s

    def work(self) -> None:
        self.calls += 1
        self.now_s += 10.0 if self.calls == 1 else 0.5  # the first time takes longer


def test_the_first_calls_do_not_count():
    clock = Clock()
    assert times_s(clock.work, 3.0, clock) == [0.5] * 6
    assert clock.calls == 8


def test_there_are_five_times_at_least():
    clock = Clock()
    assert len(times_s(clock.work, 0.0, clock)) == 5


def test_a_source_is_read_again_until_the_time_is_over():
    clock = Clock()
    clock.calls = 1
    opened = []

    def three():
        opened.append(clock.now_s)
        for _ in range(3):
            clock.work()
            yield None

    assert items_per_s(three, 4.0, clock) == 2.0
    assert opened == [0.0, 1.5, 3.0]
    assert items_per_s(lambda: [], 4.0, clock) == 0.0


def test_peaks_are_measured_and_settings_are_as_before():
    before = torch.get_float32_matmul_precision()
    assert matrix_gflops("cpu", "f32", 0.01) > 0.1
    assert memory_gb_s("cpu", 0.01) > 0.01
    assert torch.get_float32_matmul_precision() == before


@pytest.mark.parametrize(
    ("spec", "count"),
    [
        (InputSpec(clip_len=15, frame_stride=2), 63),  # a span of 29 frames of 30 a second: 62 and what is left
        (InputSpec(clip_len=4, sampling="spread", window_s=4.0), 29),  # every 2 s, the last one from 56 to 60
        (InputSpec(clip_len=4, sampling="spread"), 59),  # the window of live prediction, 2 s
        (InputSpec(clip_len=1), 121),  # two a second, and the last frame
    ],
)
def test_clips_a_minute_are_those_that_predict_looks_at(spec, count):
    assert clips_a_minute(spec, 30.0) == count


def test_a_network_by_name_has_always_the_same_weights():
    first, again = (open_network("single_frame_tiny")[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert open_network("resnet10t")[0].variant == "single_frame"
    with pytest.raises(UnknownName, match="slow_fusion_tiny"):
        open_network("slow_fusion_tinny")


@pytest.mark.parametrize(("name", "steps"), [("slow_fusion_tiny", False), ("causal_small", True)])
def test_a_network_that_remembers_is_timed_frame_by_frame_too(name, steps):
    network = build(name, num_classes=2, spec={"size": (24, 24), "clip_len": 4})
    predictor = Predictor(network.eval(), ModelCard.of(network, ("a", "b")), device="cpu", batch_size=3)
    first_answer(predictor)
    speed = measure_speed(predictor, 0.01)
    assert speed.clips_per_s > 0
    assert 0 < speed.clip_p50_s <= speed.clip_p95_s
    assert (speed.step_p50_s is not None) == steps
    assert speed.memory_mib is None or speed.memory_mib > 50
