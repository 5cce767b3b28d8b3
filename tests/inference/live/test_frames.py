"""Live prediction frame by frame equals the offline run over the same frames, at the rate the network learned."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch

from kinema.clips.transforms import normalize, view_transform
from kinema.engines.scorer import to_scores
from kinema.errors import CheckpointError, VideoError
from kinema.inference.live.frames import MOST_WAITING, DueFrames, FrameSchedule, watch_frames
from kinema.inference.predictor import Predictor
from kinema.models import build
from kinema.types import InputSpec
from kinema.weights.checkpoint import ModelCard

FRAMES = np.random.default_rng(0).integers(0, 256, (40, 24, 30, 3), dtype=np.uint8)


class FakeStream:
    """FRAMES at `fps` frames a second of stream time, as fast as they are taken."""

    def __init__(self, fps: float = 25.0, num_frames: int = 40, delay_s: float = 0, error: Exception | None = None):
        self.fps, self.num_frames, self.delay_s, self.error = fps, num_frames, delay_s, error
        self.num_dropped = 0
        self.num_given = 0
        self.closed = threading.Event()

    def __iter__(self):
        for number in range(self.num_frames):
            if self.closed.wait(self.delay_s) if self.delay_s else self.closed.is_set():
                return
            self.num_given += 1
            yield number / self.fps, FRAMES[number % len(FRAMES)]
        if self.error:
            raise self.error

    def close(self) -> None:
        self.closed.set()


def make_predictor(**spec: object) -> Predictor:
    torch.manual_seed(0)
    spec = {"size": (24, 24), "clip_len": 8, **spec}
    network = build("causal_small", num_classes=3, spec=spec, memory=3)
    torch.nn.init.normal_(network.classifier.weight)
    return Predictor(network, ModelCard.of(network, ("a", "b", "c")), device="cpu", precision="f32")


def offline(predictor: Predictor, places: list[int]) -> np.ndarray:
    """Scores after each of these frames, from one run over all of them."""
    spec = predictor.network.spec
    clip = view_transform(spec)(torch.from_numpy(FRAMES[places]).permute(0, 3, 1, 2))
    with torch.inference_mode():
        return to_scores(predictor.network.frame_logits(normalize(clip, spec))[0].numpy(), False)


DENSE = [
    ({"sampling": "dense", "frame_stride": 1}, list(range(40))),
    ({"sampling": "dense", "frame_stride": 3}, list(range(0, 40, 3))),
    ({"sampling": "dense", "frame_stride": 2, "fps": 25.0}, list(range(0, 40, 2))),
    ({"sampling": "dense", "frame_stride": 1, "fps": 12.5}, list(range(0, 40, 2))),
    ({"sampling": "spread", "window_s": 1.6}, list(range(0, 40, 5))),
    ({"sampling": "spread"}, [0, 7, 13, 19, 25, 32, 38]),  # every 0.25 s of 25 frames a second
]


@pytest.mark.parametrize(("spec", "places"), DENSE, ids=str)
def test_a_stream_gives_what_the_offline_run_gives(spec, places):
    predictor = make_predictor(**spec)
    found = list(watch_frames(predictor, FakeStream(), wait=True))
    assert [round(live.time_s * 25) for live in found] == places
    np.testing.assert_allclose([live.raw for live in found], offline(predictor, places), atol=1e-5)
    assert found[-1].dropped == 0
    assert np.ptp([live.raw for live in found], axis=0).max() > 0.01  # frames do matter


def test_a_source_slower_than_the_network_learned_shows_frames_again():
    predictor = make_predictor(sampling="dense", fps=20.0)
    found = list(watch_frames(predictor, FakeStream(fps=10.0, num_frames=5), wait=True))
    again = offline(predictor, [0, 1, 1, 2, 2, 3, 3, 4, 4])
    np.testing.assert_allclose([live.raw for live in found], again[[0, 2, 4, 6, 8]], atol=1e-5)


def test_a_long_gap_costs_no_more_than_a_clip():
    schedule = FrameSchedule(InputSpec(fps=10, clip_len=8))
    assert [
        schedule.repeats(0, 5.0),
        schedule.repeats(1, 5.1),
        schedule.repeats(2, 1000.0),
        schedule.repeats(3, 1000.1),
    ] == [1, 1, 8, 1]


def test_every_grid_point_counts_once_at_any_rate():
    for rate in (7.0, 10.0, 24.0, 29.97):
        schedule = FrameSchedule(InputSpec(fps=10, clip_len=8))
        counts = [schedule.repeats(number, number / rate) for number in range(round(60 * rate))]
        assert abs(sum(counts) - 600) <= 2


def test_scores_are_smoothed_over_the_last_predictions():
    predictor = make_predictor(sampling="dense")
    found = list(watch_frames(predictor, FakeStream(num_frames=6), rolling=3, wait=True))
    np.testing.assert_allclose(found[-1].scores, np.mean([live.raw for live in found[-3:]], axis=0), atol=1e-6)


def test_latency_counts_from_the_arrival_of_a_frame():
    stream = FakeStream(num_frames=6)
    stream.arrived_s = time.monotonic() - 10
    assert all(10 < live.latency_s < 30 for live in watch_frames(make_predictor(sampling="dense"), stream, wait=True))


def slow_down(predictor: Predictor, seconds: float) -> None:
    step = predictor.network.step

    def slow(frame, state):
        time.sleep(seconds)
        return step(frame, state)

    predictor.network.step = slow


def test_a_network_that_is_too_slow_drops_frames_and_sees_the_newest():
    predictor = make_predictor(sampling="dense")
    stream = FakeStream(num_frames=200, delay_s=0.001)
    step = predictor.network.step

    def slow(frame, state):  # ten frames come in the time of one step, however busy the machine is
        ten_more = min(stream.num_given + 10, stream.num_frames)
        while stream.num_given < ten_more:
            time.sleep(0.001)
        return step(frame, state)

    predictor.network.step = slow
    found = list(watch_frames(predictor, stream))
    assert found[-1].time_s == 199 / 25  # the newest is seen
    assert found[-1].dropped == 200 - len(found)
    assert found[-1].dropped > 50


def test_a_file_that_may_wait_loses_nothing():
    predictor = make_predictor(sampling="dense")
    slow_down(predictor, 0.01)
    stream = FakeStream(num_frames=40)
    found = list(watch_frames(predictor, stream, wait=True))
    assert len(found) == 40
    assert found[-1].dropped == 0


def test_frames_wait_in_bounded_memory():
    stream = FakeStream(num_frames=10_000)
    frames = DueFrames(stream, FrameSchedule(InputSpec()), wait=True)
    time.sleep(0.1)
    frames.close()
    assert stream.num_given <= MOST_WAITING + 2
    assert stream.closed.is_set()


def test_a_broken_stream_is_an_error_after_what_came_before():
    stream = FakeStream(num_frames=3, error=VideoError("the camera is gone", "0"))
    found = []
    with pytest.raises(VideoError, match="gone"):
        found.extend(watch_frames(make_predictor(sampling="dense"), stream, wait=True))
    assert stream.closed.is_set()


def test_scores_of_a_diverged_network_are_an_error():
    predictor = make_predictor()
    torch.nn.init.constant_(predictor.network.classifier.weight, float("nan"))
    with pytest.raises(CheckpointError, match="not numbers: causal_small"):
        list(watch_frames(predictor, FakeStream()))
