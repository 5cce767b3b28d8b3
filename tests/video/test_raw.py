from __future__ import annotations

import pytest

from kinema.errors import VideoError
from kinema.video.raw import decode_only


def test_every_frame_is_decoded_once(counting_video, damaged_video):
    assert sum(1 for _ in decode_only(str(counting_video))) == 120
    assert 70 <= sum(1 for _ in decode_only(str(damaged_video))) <= 120


def test_a_video_may_be_left_in_its_middle(counting_video, open_files):
    before = open_files()
    frames = decode_only(str(counting_video))
    next(frames)
    frames.close()
    assert open_files() == before


def test_a_video_that_is_not_there_is_named():
    with pytest.raises(VideoError, match=r"gone\.mp4"):
        next(decode_only("gone.mp4"))
