from __future__ import annotations

import numpy as np
import pytest
import torch

from kinema.choices import Spacing
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


def dense(clip_len: int, frame_stride: int, spacing: Spacing = "stride") -> InputSpec:
    return InputSpec(clip_len=clip_len, frame_stride=frame_stride, spacing=spacing)


def test_a_clip_takes_every_second_frame_with_stride_2():
    assert uniform_clips(dense(4, 2), 7, 1).tolist() == [[0, 2, 4, 6]]


def test_a_single_clip_lies_in_the_middle():
    assert uniform_clips(dense(4, 1), 20, 1).tolist() == [[8, 9, 10, 11]]


@pytest.mark.parametrize("num_frames", [1, 3, 6])
def test_short_video_repeats_its_last_frame(num_frames: int):
    wanted = np.minimum([0, 2, 4, 6], num_frames - 1).tolist()
    assert uniform_clips(dense(4, 2), num_frames, 1).tolist() == [wanted]
    assert random_clip(dense(4, 2), num_frames, rng()).tolist() == wanted
    assert uniform_clips(dense(4, 2), num_frames, 3).tolist() == [wanted] * 3


def test_random_clips_reach_the_first_and_the_last_frame_and_never_pass_them():
    clips = np.stack([random_clip(dense(4, 2), 10, rng(seed)) for seed in range(200)])
    assert clips.min() == 0
    assert clips.max() == 9
    assert (np.diff(clips, axis=1) == 2).all()
    assert set(clips[:, 0].tolist()) == {0, 1, 2, 3}


def test_uniform_clips_go_from_the_first_frame_to_the_last():
    clips = uniform_clips(dense(16, 4), 100, 10)
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


def test_a_video_without_frames_is_refused():
    with pytest.raises(ValueError, match="positive"):
        uniform_clips(dense(4, 1), 0, 1)


@pytest.mark.parametrize(
    ("clip_len", "frame_stride", "expected"),
    [  # by hand: floor(i * (T tau - 1) / (T - 1))
        (4, 12, [0, 15, 31, 47]),
        (4, 16, [0, 21, 42, 63]),
        (8, 8, [0, 9, 18, 27, 36, 45, 54, 63]),
        (13, 6, [0, 6, 12, 19, 25, 32, 38, 44, 51, 57, 64, 70, 77]),
        (8, 32, [0, 36, 72, 109, 145, 182, 218, 255]),
    ],
)
def test_evenly_spaced_frames_reach_the_last_of_all_frames(clip_len: int, frame_stride: int, expected: list[int]):
    spec = dense(clip_len, frame_stride, "even")
    assert list(spec.offsets) == expected
    assert spec.span == clip_len * frame_stride
    assert uniform_clips(spec, spec.span, 1).tolist() == [expected]
    subsampled = torch.linspace(
        0, clip_len * frame_stride - 1, clip_len
    ).long()  # as PyTorchVideo and PySlowFast write it
    assert subsampled.tolist() == expected


def test_clips_of_evenly_spaced_frames_start_at_k_of_the_number_of_clips():
    spec = dense(4, 12, "even")
    clips = uniform_clips(spec, 300, 10)  # the latest start is 252
    assert clips[:, 0].tolist() == [252 * k // 10 for k in range(10)]
    assert uniform_clips(spec, 300, 1)[:, 0].tolist() == [0]
    assert uniform_clips(spec, 20, 2).tolist() == [[0, 15, 19, 19]] * 2
    starts = {int(random_clip(spec, 50, rng(seed))[0]) for seed in range(60)}
    assert starts == {0, 1, 2}


@pytest.mark.parametrize(
    ("fps", "expected"),
    [  # frames of ConstantClipsPerVideoSampler and UniformTemporalSubsample of PyTorchVideo: clips of 48 / 30 s
        (24000 / 1001, [0, 12, 25, 38]),
        (24, [0, 12, 25, 38]),
        (25, [0, 13, 26, 39]),
        (30000 / 1001, [0, 15, 31, 47]),
        (30, [0, 15, 31, 47]),
        (50, [0, 26, 52, 79]),
        (60000 / 1001, [0, 31, 63, 95]),
        (60, [0, 31, 63, 95]),
    ],
)
def test_clips_at_a_rate_are_stretches_of_time(fps: float, expected: list[int]):
    spec = dense(4, 12, "even").with_(fps=30.0)
    times_s = np.arange(400) / fps
    assert plan_clips(spec, times_s, 1).tolist() == [expected]
    assert plan_clips(spec, np.round(times_s, 3), 1).tolist() == [expected]  # Matroska rounds times


def test_clips_at_a_rate_start_at_k_of_the_number_of_clips_and_are_rounded_once():
    spec = dense(4, 12, "even").with_(fps=30.0)
    clips = plan_clips(spec, np.arange(250) / 25, 10)
    first = [int(np.ceil((10 - 1.6) * k / 10 * 25 - 1e-6)) for k in range(10)]
    assert clips[:, 0].tolist() == first
    assert (clips[:, -1] - clips[:, 0]).tolist() == [39] * 10


def test_short_videos_and_gaps_repeat_frames():
    spec = dense(4, 12, "even").with_(fps=30.0)
    assert plan_clips(spec, np.array([0.0, 0.1]), 1).tolist() == [[0, 0, 0, 1]]
    times_s = np.array([0.0, 0.1, 5.0, 5.1])
    assert plan_clips(spec, times_s, 2, end_s=5.2)[1].tolist() == [1, 1, 1, 1]
    span = TimeSpan(2.0, 3.0)  # frame 1 is on the screen
    assert plan_clips(spec, times_s, 1, span).tolist() == [[1] * 4]
    assert plan_train_clip(spec, times_s, rng(), span).tolist() == [1] * 4
    with pytest.raises(EmptyVideo):
        plan_clips(spec, np.array([]), 1)


def test_a_span_bounds_clips_at_a_rate():
    spec = dense(4, 12, "even").with_(fps=30.0)
    times_s = np.arange(250) / 25
    clips = plan_clips(spec, times_s, 3, TimeSpan(2.0, 4.0))
    assert clips.min() == 50
    assert clips.max() < 100
    trained = np.stack([plan_train_clip(spec, times_s, rng(seed), TimeSpan(2.0, 4.0)) for seed in range(50)])
    assert (trained.min() >= 50, trained.max() < 100, len(set(trained[:, 0].tolist())) > 5) == (True, True, True)


def test_one_evenly_spaced_frame_is_the_first():
    assert dense(1, 8, "even").offsets == (0,)


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
