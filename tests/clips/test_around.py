"""Clips around a time: exact frames at any rate, at the ends of a video, and of variable rate."""

from __future__ import annotations

import numpy as np
import pytest

from kinema.clips.around import clips_around, whole_frame_size
from kinema.errors import ConfigError
from kinema.types import InputSpec


def test_the_middle_of_the_clip_is_the_time_of_the_boxes():
    spec, times_s = InputSpec(clip_len=5, frame_stride=2), np.arange(100) / 25
    assert clips_around(spec, times_s, np.array([2.0])).tolist() == [[46, 48, 50, 52, 54]]
    assert clips_around(spec, times_s, np.array([0.04, 3.96])).tolist() == [[0, 0, 1, 3, 5], [95, 97, 99, 99, 99]]


@pytest.mark.parametrize("rate", [10.0, 25.0, 30.0, 29.97])
def test_clips_at_a_rate_of_their_own_span_the_same_time_in_any_video(rate: float):
    spec, times_s = InputSpec(clip_len=5, fps=8.0), np.arange(int(6 * rate)) / rate
    (clip,) = clips_around(spec, times_s, np.array([3.0]))
    wanted_s = 3 + np.arange(-2, 3) / 8
    assert (np.abs(times_s[clip] - wanted_s) <= 1 / rate).all()
    assert (times_s[clip] <= wanted_s + 2e-3).all()


def test_frames_of_variable_rate_are_found_by_their_times():
    times_s = np.array([0.0, 0.1, 0.2, 1.0, 1.5, 1.6])
    (clip,) = clips_around(InputSpec(clip_len=3, fps=2.0), times_s, np.array([1.2]))
    assert clip.tolist() == [2, 3, 5]  # at 0.7, 1.2 and 1.7 s


def test_the_published_sampling_is_that_of_pytorchvideo():
    spec = InputSpec(clip_len=4, frame_stride=16, fps=30.0, spacing="even")
    (clip,) = clips_around(spec, np.arange(900) / 30, np.array([15.05]))
    assert np.diff(clip).tolist() == [21, 21, 21]
    assert abs(clip.mean() - 15.05 * 30) < 1


def test_whole_frames_are_shown():
    assert whole_frame_size(InputSpec(size=(128, 96), resize="stretch")) == (128, 96)
    assert whole_frame_size(InputSpec(size=(224, 224), short_side=256)) == 256
    assert whole_frame_size(InputSpec(size=(112, 112), squeezed=(128, 171))) == (128, 171)


def test_networks_that_spread_their_frames_are_refused():
    with pytest.raises(ConfigError, match="neighbouring frames"):
        clips_around(InputSpec(sampling="spread"), np.arange(9.0), np.array([1.0]))
