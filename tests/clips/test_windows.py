from __future__ import annotations

import numpy as np
import pytest

from kinema.clips.windows import WindowOptions, plan_windows
from kinema.errors import ConfigError
from kinema.types import InputSpec

DENSE = InputSpec(clip_len=4, frame_stride=2)  # span 7
SPREAD = InputSpec(clip_len=4, sampling="spread", window_s=2.0)


def times(num_frames: int, fps: float = 10.0) -> np.ndarray:
    return np.arange(num_frames) / fps


def test_dense_clips_follow_each_other_to_the_end_of_the_video() -> None:
    plan = plan_windows(DENSE, times(30), 3.0)
    assert plan.frames[:, 0].tolist() == [0, 6, 14, 20, 23]
    assert plan.frames[0].tolist() == [0, 2, 4, 6]
    assert plan.spans_s[0].tolist() == [0, pytest.approx(0.7)]
    assert plan.frames[-1].tolist() == [23, 25, 27, 29]
    assert plan.spans_s[-1, 1] == 3.0


@pytest.mark.parametrize("stride", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("num_frames", [1, 20, 95, 100, 103])
def test_the_last_dense_clip_ends_with_the_video_whatever_the_stride(stride: int, num_frames: int) -> None:
    plan = plan_windows(InputSpec(clip_len=4, frame_stride=stride), times(num_frames, 25), num_frames / 25)
    assert plan.frames.max() == num_frames - 1
    assert plan.spans_s[-1, 1] == num_frames / 25
    assert (plan.frames[:-1, 0] % stride == 0).all()


def test_a_given_step_is_kept_to_without_drift() -> None:
    plan = plan_windows(DENSE, times(3001, fps=29.97), 3001 / 29.97, WindowOptions(step_s=0.5))
    wanted = np.arange(len(plan.spans_s) - 1) * 0.5
    np.testing.assert_allclose(plan.spans_s[:-1, 0], wanted, atol=1 / 29.97)
    assert plan.frames[-1, -1] == 3000


def test_short_video_is_one_clip_that_repeats_its_last_frame() -> None:
    plan = plan_windows(DENSE, times(3), 0.3)
    assert plan.frames.tolist() == [[0, 2, 2, 2]]
    assert plan.spans_s.tolist() == [[0, 0.3]]


def test_strides_are_counted_at_the_network_s_own_rate() -> None:
    plan = plan_windows(DENSE.with_(fps=5.0), times(100, fps=10.0), 10.0)
    assert plan.frames[0].tolist() == [0, 4, 8, 12]


def test_more_clips_shorten_the_step() -> None:
    assert len(plan_windows(DENSE, times(30), 3.0, WindowOptions(num_clips=9)).frames) >= 9


def test_spread_network_sees_a_video_of_usual_length_as_one() -> None:
    plan = plan_windows(SPREAD, times(30), 3.0)
    assert plan.frames.tolist() == [[3, 11, 18, 26]]
    assert plan.spans_s.tolist() == [[0, 3]]


def test_spread_network_sees_a_longer_video_in_overlapping_windows() -> None:
    plan = plan_windows(SPREAD, times(65), 6.5)
    assert plan.spans_s[:, 0].tolist() == [0, 1, 2, 3, 4, 4.5]
    assert plan.spans_s[-1, 1] == 6.5
    assert plan.frames[1].tolist() == [12, 17, 22, 27]


def test_several_clips_of_a_window_belong_to_it() -> None:
    plan = plan_windows(SPREAD, times(65), 6.5, WindowOptions(num_clips=3))
    assert plan.owner.tolist() == np.repeat(np.arange(6), 3).tolist()
    assert len(plan.frames) == 18


def test_spread_network_without_a_usual_length_sees_all_videos_whole() -> None:
    plan = plan_windows(SPREAD.with_(window_s=None), times(1000), 100.0)
    assert len(plan.frames) == 1
    assert len(plan_windows(SPREAD.with_(window_s=None), times(1000), 100.0, WindowOptions(window_s=10.0)).frames) == 19
    assert len(plan_windows(SPREAD.with_(window_s=None), times(1000), 100.0, WindowOptions(step_s=5.0)).frames) == 19


def test_network_trained_on_stills_gets_two_windows_a_second() -> None:
    stills = SPREAD.with_(clip_len=1, window_s=0.04)
    plan = plan_windows(stills, times(100), 10.0)
    assert plan.spans_s[:, 0].tolist() == np.arange(0, 10, 0.5).tolist()
    assert len(plan_windows(stills, times(100), 10.0, WindowOptions(step_s=0.25)).spans_s) == 39


@pytest.mark.parametrize("spec", [SPREAD, SPREAD.with_(fps=10.0), SPREAD.with_(fps=30.0)])
def test_windows_show_a_last_frame_with_a_long_display_time(spec: InputSpec) -> None:
    plan = plan_windows(spec, times(20), 4.9)  # a GIF: 20 frames in 1.9 s, the last of them stays for 3 s
    assert plan.spans_s[-1].tolist() == [pytest.approx(2.9), 4.9]
    assert plan.frames[-1].tolist() == [19, 19, 19, 19]


def test_a_long_last_frame_does_not_space_dense_clips_out() -> None:
    plan = plan_windows(DENSE, times(20), 61.9)
    assert plan.frames[:, 0].tolist() == [0, 6, 13]
    assert plan.spans_s[-1].tolist() == [1.3, 61.9]


def test_a_long_last_frame_is_repeated_at_the_network_s_rate() -> None:
    plan = plan_windows(DENSE.with_(fps=10.0), times(20), 4.9)
    assert plan.frames[-1].tolist() == [19, 19, 19, 19]
    assert plan.spans_s[-1].tolist() == [pytest.approx(4.2), 4.9]


@pytest.mark.parametrize("wrong", [{"step_s": 0.0}, {"num_clips": 0}, {"window_s": -1.0}])
def test_impossible_options_are_an_error(wrong) -> None:
    with pytest.raises(ConfigError, match="above zero"):
        WindowOptions(**wrong)


def test_windows_begin_with_the_first_frame_if_the_sound_begins_before_it() -> None:
    late = 3.0 + times(50)
    plan = plan_windows(DENSE, late, 8.0)
    assert (plan.spans_s[0, 0], plan.spans_s[-1, 1], plan.frames[0, 0]) == (3.0, 8.0, 0)
    plan = plan_windows(SPREAD, late, 8.0)
    assert (plan.spans_s[0].tolist(), plan.spans_s[-1, 1]) == ([3.0, 5.0], 8.0)
    assert plan.frames[0].max() < 20
    plan = plan_windows(SPREAD, late[:20], 5.0)
    assert plan.spans_s.tolist() == [[3.0, 5.0]]


def test_evenly_spaced_windows_are_stretches_of_time():
    spec = InputSpec(4, 12, fps=30.0, spacing="even")
    plan = plan_windows(spec, np.arange(125) / 25, 5.0)
    np.testing.assert_allclose(plan.spans_s, [[0, 1.6], [1.6, 3.2], [3.2, 4.8], [3.4, 5.0]])
    assert plan.frames.tolist() == [[0, 13, 26, 39], [40, 53, 66, 79], [80, 93, 106, 119], [85, 98, 111, 124]]
    assert len(plan_windows(spec, np.arange(125) / 25, 5.0, WindowOptions(num_clips=8)).frames) >= 8
    short = plan_windows(spec, np.arange(3) / 25, 0.12)
    assert (short.frames.tolist(), short.spans_s.tolist()) == ([[0, 0, 1, 2]], [[0.0, 0.12]])
