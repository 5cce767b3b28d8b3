"""Frames are upright, and resized without losing pixels or colours."""

from __future__ import annotations

import av
import numpy as np
import pytest

from kinema.video import open_video


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotation_is_applied(rotated_videos, degrees, read_count):
    with open_video(rotated_videos[degrees]) as video:
        assert (video.info.height, video.info.width) == (64, 96)
        assert [read_count(frame) for frame in video.frames_at([0, 13, 19])] == [0, 13, 19]
        assert video.frames_at([13], (40, 50)).shape == (1, 40, 50, 3)
        assert read_count(video.frames_at([13], (40, 50))[0]) == 13


def test_mirrored_videos_are_shown_as_the_matrix_says(tmp_path, draw_count, read_count):
    path = tmp_path / "mirrored.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        stream.set_display_rotation(0, hflip=True)
        output.mux(
            stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(draw_count(9)[:, ::-1]), format="rgb24"))
        )
        output.mux(stream.encode(None))
    with open_video(path) as video:
        assert read_count(video.frames_at([0])[0]) == 9


def test_shrinking_averages_instead_of_dropping_pixels(tmp_path, write_frames):
    stripes = np.zeros((64, 96, 3), np.uint8)
    stripes[:, ::2] = 255
    path = write_frames(tmp_path / "stripes.mkv", [stripes], codec="ffv1", pix_fmt="yuv444p")
    with open_video(path) as video:
        small = video.frames_at([0], (16, 24))[0, 4:-4, 4:-4].astype(int)
    assert abs(small - 127).max() < 12


def test_colours_survive_resizing(tmp_path, write_frames):
    colours = np.zeros((64, 96, 3), np.uint8)
    colours[:, :32], colours[:, 32:64], colours[:, 64:] = (200, 30, 40), (20, 180, 60), (30, 50, 220)
    path = write_frames(tmp_path / "colours.mp4", [colours], options={"crf": "5"})
    with open_video(path) as video:
        for size in (None, 32, (50, 60)):
            frame = video.frames_at([0], size)[0].astype(int)
            height, width = frame.shape[:2]
            for third in range(3):
                seen = frame[height // 2, width * (2 * third + 1) // 6]
                assert abs(seen - colours[0, 32 * third + 16].astype(int)).max() < 8


@pytest.mark.real_data
def test_real_phone_videos_are_upright(real_data):
    sizes = {}
    for degrees in (0, 90, 180, 270):
        with open_video(real_data / "films" / "decord" / f"video_{degrees}.mov") as video:
            sizes[degrees] = (video.info.height, video.info.width)
    assert sizes == {0: (320, 568), 90: (568, 320), 180: (320, 568), 270: (568, 320)}
