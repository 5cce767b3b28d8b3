from __future__ import annotations

import numpy as np
import pytest

from kinema.clips.sampling import (
    plan_clips,
    plan_train_clip,
    random_clip,
    random_spread_clip,
    resample,
    spread_clips,
    uniform_clips,
    usable_frames,
)
from kinema.errors import EmptyVideo
from kinema.types import InputSpec, TimeSpan


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_clip_takes_every_second_frame_with_stride_2():
    assert uniform_clips(num_frames=7, num_clips=1, clip_len=4, frame_stride=2).tolist() == [[0, 2, 4, 6]]


def test_a_single_clip_lies_in_the_middle():
    assert uniform_clips(num_frames=20, num_clips=1, clip_len=4, frame_stride=1).tolist() == [[8, 9, 10, 11]]


@pytest.mark.parametrize("num_frames", [1, 3, 6])
def test_short_video_repeats_its_last_frame(num_frames: int):
    wanted = np.minimum([0, 2, 4, 6], num_frames - 1).tolist()
    assert uniform_clips(num_frames, 1, 4, 2).tolist() == [wanted]
    assert random_clip(num_frames, 4, 2, rng()).tolist() == wanted
    assert uniform_clips(num_frames, 3, 4, 2).tolist() == [wanted] * 3


def test_random_clips_reach_the_first_and_the_last_frame_and_never_pass_them():
    clips = np.stack([random_clip(10, 4, 2, rng(seed)) for seed in range(200)])
    assert clips.min() == 0
    assert clips.max() == 9
    assert (np.diff(clips, axis=1) == 2).all()
    assert set(clips[:, 0].tolist()) == {0, 1, 2, 3}


def test_uniform_clips_go_from_the_first_frame_to_the_last():
    clips = uniform_clips(num_frames=100, num_clips=10, clip_len=16, frame_stride=4)
    assert clips.shape == (10, 16)
    assert clips[0, 0] == 0
    assert clips[-1, -1] == 99
    assert np.ptp(np.diff(clips[:, 0])) <= 1


def test_spread_frames_are_the_middles_of_equal_parts():
    assert spread_clips(num_frames=40, num_clips=1, clip_len=4).tolist() == [[5, 15, 25, 35]]


def test_several_spread_clips_are_shifted_inside_the_parts():
    clips = spread_clips(num_frames=40, num_clips=2, clip_len=4)
    assert clips.tolist() == [[2, 12, 22, 32], [7, 17, 27, 37]]


def test_spread_frames_of_a_short_video_repeat_neighbours():
    assert spread_clips(num_frames=3, num_clips=1, clip_len=4).tolist() == [[0, 1, 1, 2]]


def test_a_random_spread_clip_takes_one_frame_of_each_part():
    clips = np.stack([random_spread_clip(40, 4, rng(seed)) for seed in range(200)])
    assert (clips // 10 == np.arange(4)).all()
    assert len(set(clips[:, 0].tolist())) == 10


@pytest.mark.parametrize("bad", [(0, 4, 1), (5, 0, 1), (5, 4, 0)])
def test_numbers_below_one_are_refused(bad: tuple[int, int, int]):
    num_frames, clip_len, frame_stride = bad
    with pytest.raises(ValueError, match="positive"):
        uniform_clips(num_frames, 1, clip_len, frame_stride)


@pytest.mark.parametrize("fps", [23.976, 25.0, 29.97, 60.0])
def test_resampling_to_the_own_rate_keeps_every_frame_once_though_times_are_rounded_to_milliseconds(fps: float):
    times_s = np.round(np.arange(500) / fps, 3)
    assert resample(times_s, fps).tolist() == list(range(500))


def test_resampling_halves_and_doubles_the_rate():
    times_s = np.arange(10) / 10
    assert resample(times_s, 5.0).tolist() == [0, 2, 4, 6, 8]
    assert resample(times_s, 20.0).tolist() == [index for index in range(10) for _ in range(2)]


def test_resampling_shows_what_is_on_screen_when_frames_come_unevenly():
    times_s = np.array([0.0, 0.1, 0.5, 0.6])
    assert resample(times_s, 10.0).tolist() == [0, 1, 1, 1, 1, 2, 3]


def test_resampling_does_not_drift_in_an_hour_of_ntsc_video():
    times_s = np.arange(60 * 60 * 30) * 1001 / 30000
    frames = resample(times_s, 10.0)
    wanted_s = np.arange(len(frames)) / 10
    assert np.abs(times_s[frames] - wanted_s).max() <= 1001 / 30000 + 1e-9


def test_strides_are_counted_at_the_wanted_rate():
    spec = InputSpec(clip_len=3, frame_stride=2, fps=10)
    fast, slow = np.arange(100) / 50, np.arange(50) / 25
    assert np.diff(plan_clips(spec, fast, 1))[0].tolist() == [10, 10]
    assert np.diff(plan_clips(spec, slow, 1))[0].tolist() == [5, 5]


def test_clips_stay_inside_their_span():
    times_s = np.arange(100) / 10
    spec = InputSpec(clip_len=4, frame_stride=1)
    for seed in range(50):
        clip = plan_train_clip(spec, times_s, rng(seed), TimeSpan(2.0, 3.0))
        assert clip.min() >= 20
        assert clip.max() <= 29
    spread = plan_clips(spec.with_(sampling="spread"), times_s, 1, TimeSpan(2.0, 4.0))
    assert spread.tolist() == [[22, 27, 32, 37]]


def test_a_span_between_two_frames_gives_the_one_on_screen():
    spec = InputSpec(clip_len=2)
    assert usable_frames(spec, np.array([0.0, 1.0, 2.0]), TimeSpan(1.2, 1.4)).tolist() == [1]


def test_a_span_behind_the_end_is_an_error_that_tells_where_the_end_is():
    with pytest.raises(EmptyVideo, match="ends at 3 s"):
        usable_frames(InputSpec(), np.array([0.0, 1.0, 2.0]), TimeSpan(3.5, 4.0))


@pytest.mark.parametrize("fps", [None, 10.0])
def test_a_span_in_which_the_last_frame_is_held_gives_it_where_the_end_is_known(fps: float | None):
    spec, times_s = InputSpec(fps=fps), np.array([0.0, 1.0, 2.0])
    assert set(usable_frames(spec, times_s, TimeSpan(3.5, 9.0), end_s=8.0).tolist()) == {2}
    with pytest.raises(EmptyVideo, match="ends at 8 s"):
        usable_frames(spec, times_s, TimeSpan(8.0, 9.0), end_s=8.0)


@pytest.mark.parametrize("sampling", ["dense", "spread"])
def test_a_training_clip_shows_a_held_last_frame_where_the_end_is_known(sampling):
    spec, times_s = InputSpec(clip_len=3, sampling=sampling), np.array([0.0, 1.0, 2.0])
    assert plan_train_clip(spec, times_s, rng(0), TimeSpan(3.5, 9.0), end_s=8.0).tolist() == [2, 2, 2]
    with pytest.raises(EmptyVideo, match="ends at 8 s"):
        plan_train_clip(spec, times_s, rng(0), TimeSpan(8.0, 9.0), end_s=8.0)


def test_resampling_shows_a_held_last_frame_to_its_end():
    times_s = np.array([0.0, 0.1, 0.2])
    assert resample(times_s, 10.0, end_s=0.6).tolist() == [0, 1, 2, 2, 2, 2]
    spec = InputSpec(fps=10.0)
    assert usable_frames(spec, times_s, TimeSpan(0.1, 0.4), end_s=0.6).tolist() == [1, 2, 2]
    assert usable_frames(spec, times_s, TimeSpan(0.0, 0.2), end_s=0.6).tolist() == [0, 1]


def test_a_video_without_frames_is_an_error():
    with pytest.raises(EmptyVideo):
        usable_frames(InputSpec(), np.array([]))


def test_evaluation_clips_are_the_same_each_time_and_training_clips_depend_on_the_generator():
    spec, times_s = InputSpec(clip_len=4), np.arange(100) / 25
    assert np.array_equal(plan_clips(spec, times_s, 3), plan_clips(spec, times_s, 3))
    assert np.array_equal(plan_train_clip(spec, times_s, rng(1)), plan_train_clip(spec, times_s, rng(1)))
    assert len({int(plan_train_clip(spec, times_s, rng(seed))[0]) for seed in range(30)}) > 10
