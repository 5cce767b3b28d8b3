"""Frames that a container calls keyframes, though they refer to others, are found."""

from __future__ import annotations

import numpy as np
import pytest

from kinema.video import open_video


@pytest.fixture(scope="module")
def all_keys(tmp_path_factory, write_frames, draw_count):
    """WMV in AVI that is cut off: without its index every packet is called a keyframe."""
    folder = tmp_path_factory.mktemp("keys")
    path = write_frames(folder / "whole.avi", map(draw_count, range(40)), codec="wmv2", options={"g": "12"})
    data = path.read_bytes()
    (folder / "cut.avi").write_bytes(data[: data.index(b"idx1")])
    return folder / "cut.avi"


def test_frames_are_decoded_from_true_keyframes(all_keys, read_count):
    with open_video(all_keys) as video:
        assert video._decoder.index.key.all()
        expected = {index: frame for index, _, frame in video.iterate()}
    with open_video(all_keys) as video:
        for index in (30, 17, 5, 38, 0):
            np.testing.assert_array_equal(video.frames_at([index])[0], expected[index])
        assert np.flatnonzero(video._decoder.index.key).tolist()[:2] in ([0, 12], [0, 1])
        assert video.num_damaged == 0


def test_a_stride_jumps_to_no_false_keyframe(all_keys):
    with open_video(all_keys) as video:
        expected = {index: frame for index, _, frame in video.iterate()}
        for index, _, frame in video.iterate(stride=9):
            np.testing.assert_array_equal(frame, expected[index])
