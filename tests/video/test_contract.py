"""Frames by number and time, and in order; sizes of frames."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from kinema.video import open_video
from kinema.video.contract import target_size


def test_order_and_repeats_are_kept(counting_video, read_count):
    with open_video(counting_video) as video:
        frames = video.frames_at([70, 3, 70, 119, 0, 3])
    assert [read_count(frame) for frame in frames] == [70, 3, 70, 119, 0, 3]


def test_no_frames_are_requested(counting_video):
    with open_video(counting_video) as video:
        assert video.frames_at([], 32).shape == (0, 32, 48, 3)


@pytest.mark.parametrize("index", [-1, 120])
def test_a_frame_that_is_not_there_is_an_index_error(counting_video, index):
    with open_video(counting_video) as video, pytest.raises(IndexError, match="0 to 119"):
        video.frames_at([0, index])


def test_uneven_times_are_those_of_the_file(vfr_video, vfr_times_s, read_count):
    with open_video(vfr_video) as video:
        np.testing.assert_allclose(video.times_s, vfr_times_s, atol=1e-4)
        requested = [-1.0, 0.0, vfr_times_s[7], vfr_times_s[8] - 0.001, vfr_times_s[-1] + 9]
        assert [read_count(frame) for frame in video.frames_at_times(requested)] == [0, 0, 7, 7, 39]


@pytest.mark.parametrize(
    ("size", "expected"), [(None, (64, 96)), (32, (32, 48)), ((30, 31), (30, 31)), (128, (128, 192))]
)
@pytest.mark.parametrize("name", ["counting_video", "image_folder", "ten_bit_video", "gif_video"])
def test_frames_come_in_the_size_requested(name, size, expected, request, read_count):
    with open_video(request.getfixturevalue(name)) as video:
        frames = video.frames_at([2, 11], size)
    assert frames.shape == (2, *expected, 3)
    assert [read_count(frame) for frame in frames] == [2, 11]


def test_target_size_keeps_the_aspect():
    assert target_size(240, 320, 120) == (120, 160)
    assert target_size(320, 240, 120) == (160, 120)
    with pytest.raises(ValueError, match="positive"):
        target_size(10, 10, 0)


def test_iterate_gives_a_stretch_with_a_stride(counting_video, read_count):
    with open_video(counting_video) as video:
        seen = [
            (index, time_s, read_count(frame))
            for index, time_s, frame in video.iterate(32, start_s=1, end_s=2, stride=4)
        ]
    assert seen == [(index, pytest.approx(index / 25), index) for index in range(25, 50, 4)]


@pytest.mark.parametrize("stride", [0, -1])
def test_iterate_refuses_a_stride_below_one(counting_video, stride):
    with open_video(counting_video) as video, pytest.raises(ValueError, match="stride"):
        video.iterate(stride=stride)


@pytest.mark.parametrize("threads", [1, 3])
def test_iterate_leaves_out_damaged_frames_and_says_so_once(damaged_video, read_count, caplog, threads):
    with open_video(damaged_video, threads=threads) as video, caplog.at_level(logging.WARNING, logger="kinema"):
        seen = [(index, read_count(frame)) for index, _, frame in video.iterate()]
        num_lost = 120 - len(seen)
        assert 1 <= num_lost <= video.num_damaged <= 60
        assert {index for index, _ in seen} >= {*range(50), *range(96, 120)}
        assert all(index == count for index, count in seen if index < 50 or index >= 96)
        assert len(caplog.records) == 1
        assert f"{num_lost} of 120 frames could not be decoded" in caplog.text
        assert "damaged.mkv" in caplog.text
