from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from kinema.datasets.cache import FrameCache
from kinema.datasets.frames import FrameSource, OpenFrames
from kinema.types import InputSpec, TimeSpan

RGB = InputSpec(clip_len=4, size=(32, 48))


@pytest.mark.parametrize("cached", [False, True])
def test_frames_are_those_of_the_video_with_and_without_a_cache(counting_video, read_count, tmp_path, cached) -> None:
    source = FrameSource(RGB, (64, 96), FrameCache(tmp_path) if cached else None)
    with source.open(str(counting_video)) as frames:
        pixels = frames.at(np.array([7, 3, 3]))
    assert [read_count(frame) for frame in pixels] == [7, 3, 3]
    assert frames.times_s.shape == (120,)


def test_the_end_of_a_video_is_asked_for_only_if_clips_can_reach_it() -> None:
    asked = []

    def held_until_s() -> float:
        asked.append(1)
        return 4.5

    frames = OpenFrames(
        np.array([0.0, 0.5, 1.0, 1.5]), lambda rows: np.zeros((len(rows), 1, 1, 3), np.uint8), held_until_s
    )
    own_rate = RGB.with_(fps=2.0)
    assert frames.end_s(RGB) is None
    assert frames.end_s(own_rate, TimeSpan(0, 1)) is None
    assert not asked
    end_s = partial(frames.end_s, span=TimeSpan(2, 3))
    assert (frames.end_s(own_rate), end_s(RGB), end_s(own_rate)) == (4.5, 4.5, 4.5)


def test_a_cache_that_lacks_the_last_frame_does_not_know_the_end(held_video, tmp_path) -> None:
    with FrameSource(RGB, 32, FrameCache(tmp_path)).open(str(held_video)) as frames:
        assert frames.held_until_s() == pytest.approx(4.5)
        frames.times_s.setflags(write=True)
        frames.times_s[-1] = 1.0
        assert frames.held_until_s() is None


@pytest.mark.parametrize("cached", [False, True])
def test_folders_of_pictures_have_the_given_rate(image_folder, tmp_path, cached) -> None:
    cache = FrameCache(tmp_path) if cached else None
    for rate in (25.0, 10.0, 50.0):
        with FrameSource(RGB, (64, 96), cache, image_fps=rate).open(str(image_folder)) as frames:
            assert frames.times_s == pytest.approx(np.arange(12) / rate)
            assert frames.held_until_s() == pytest.approx(12 / rate)


def test_the_rate_of_pictures_does_not_change_videos(short_video) -> None:
    with FrameSource(RGB, (64, 96), image_fps=5.0).open(str(short_video)) as frames:
        assert frames.times_s == pytest.approx(np.arange(5) / 25)
