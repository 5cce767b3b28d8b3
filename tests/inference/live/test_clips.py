from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
import torch

from kinema.errors import CheckpointError, VideoError
from kinema.inference.live.clips import NewestFrames, is_full, live_clip, watch, watch_clips
from kinema.inference.live.types import clip_span_s
from kinema.types import InputSpec


class FakeStream:
    """Frames whose brightness is their number, at 100 frames/s of stream time."""

    def __init__(self, num_frames: int, delay_s: float = 0.0, error: Exception | None = None) -> None:
        self.num_frames, self.delay_s, self.error = num_frames, delay_s, error
        self.num_dropped = 0
        self.closed = False

    def __iter__(self):
        for number in range(self.num_frames):
            if self.closed:
                return
            time.sleep(self.delay_s)
            yield number / 100, np.full((16, 16, 3), number % 256, np.uint8)
        if self.error:
            raise self.error

    def close(self) -> None:
        self.closed = True


def slow_down(predictor, seconds: float):
    score = predictor.score_clips

    def slow(clips):
        time.sleep(seconds)
        return score(clips)

    predictor.score_clips = slow
    return predictor


def test_a_slow_network_sees_the_newest_frames_and_counts_the_others(make_predictor) -> None:
    predictor = slow_down(make_predictor(), 0.1)
    found = list(watch_clips(predictor, FakeStream(200, delay_s=0.005)))
    assert 1 <= len(found) <= 14
    assert found[-1].time_s == 1.99
    assert all(one.time_s < two.time_s for one, two in itertools.pairwise(found))
    assert all(live.latency_s >= 0.1 for live in found)
    assert found[-1].dropped > 50


def test_a_fast_network_drops_nothing(make_predictor) -> None:
    found = list(watch_clips(make_predictor(), FakeStream(40, delay_s=0.01)))
    assert len(found) > 20
    assert found[-1].dropped <= 2


def test_the_first_prediction_waits_for_a_whole_clip(make_predictor) -> None:
    found = list(watch_clips(make_predictor(), FakeStream(20, delay_s=0.01)))
    assert found[0].time_s >= 0.06  # span 7


def test_a_stream_shorter_than_a_clip_gives_one_prediction(make_predictor) -> None:
    assert len(list(watch_clips(make_predictor(), FakeStream(3)))) == 1
    assert list(watch_clips(make_predictor(), FakeStream(0))) == []


def test_smoothed_scores_are_the_mean_of_the_raw_ones(make_predictor) -> None:
    found = list(watch_clips(make_predictor(), FakeStream(30, delay_s=0.005), rolling=100))
    np.testing.assert_allclose(found[-1].scores, np.mean([live.raw for live in found], axis=0), atol=1e-6)


def test_latency_counts_from_the_arrival_of_a_frame(make_predictor) -> None:
    class Waiting(FakeStream):
        """Frames that had been there for ten seconds when they were taken."""

        @property
        def arrived_s(self) -> float:
            return time.monotonic() - 10

    found = list(watch_clips(make_predictor(), Waiting(20, delay_s=0.01)))
    assert all(10 < live.latency_s < 20 for live in found)
    assert all(live.latency_s < 10 for live in watch_clips(make_predictor(), FakeStream(20, delay_s=0.01)))


def test_a_network_has_answered_before_its_source_is_opened(make_predictor, monkeypatch) -> None:
    opened = []
    monkeypatch.setattr("kinema.video.stream.open_stream", lambda *_, **__: opened.append(len(asked)) or FakeStream(20))
    predictor, asked = make_predictor(), []
    answer = predictor.score_clips
    monkeypatch.setattr(predictor, "score_clips", lambda clips: asked.append(len(clips)) or answer(clips))
    assert list(watch(predictor, "a camera"))
    assert opened == [1]


def test_a_broken_stream_is_an_error(make_predictor) -> None:
    stream = FakeStream(10, error=VideoError("the camera is gone", "0"))
    with pytest.raises(VideoError, match="gone"):
        list(watch_clips(make_predictor(), stream))
    assert stream.closed


def test_memory_is_bounded_while_no_frame_is_taken() -> None:
    frames = NewestFrames(FakeStream(500), None, num_frames=7)
    time.sleep(0.3)
    assert len(frames.newest(-1)) == 7
    frames.close()


def test_a_stream_of_more_frames_than_are_kept_is_thinned_out(make_predictor, monkeypatch) -> None:
    monkeypatch.setattr("kinema.inference.live.clips._MOST_FRAMES", 40)
    spec = InputSpec(clip_len=4, size=(16, 16), sampling="spread", window_s=1.6)
    frames = NewestFrames(FakeStream(250), clip_span_s(spec), spec.clip_len)
    time.sleep(0.3)
    kept = frames.newest(-1)
    frames.close()
    assert len(kept) <= 42
    assert kept[-1].number == 249
    assert is_full(kept, spec)
    np.testing.assert_allclose(live_clip(kept, spec)[0, 0, :, 0, 0], [109, 149, 189, 229], atol=8)
    found = list(watch_clips(make_predictor(sampling="spread", window_s=1.6), FakeStream(250, delay_s=0.002)))
    assert len(found) > 5
    assert found[0].time_s >= 1.6


def test_scores_of_a_diverged_network_are_an_error(make_predictor) -> None:
    predictor = make_predictor()
    torch.nn.init.constant_(predictor.network.classifier.weight, float("nan"))
    with pytest.raises(CheckpointError, match="not numbers: brightness"):
        list(watch_clips(predictor, FakeStream(20)))


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        (InputSpec(clip_len=4, frame_stride=2, size=(16, 16)), [93, 95, 97, 99]),
        (InputSpec(clip_len=4, frame_stride=2, size=(16, 16), fps=50), [87, 91, 95, 99]),
        (InputSpec(clip_len=4, size=(16, 16), sampling="spread", window_s=0.4), [64, 74, 84, 94]),
    ],
)
def test_a_clip_ends_with_the_newest_frame(spec, shown) -> None:
    frames = NewestFrames(FakeStream(100), clip_span_s(spec), spec.span)
    time.sleep(0.2)
    clip = live_clip(frames.newest(-1), spec)
    frames.close()
    assert clip.shape == (1, 3, 4, 16, 16)
    assert clip[0, 0, :, 0, 0].tolist() == shown
