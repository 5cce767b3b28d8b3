"""What is written can be read again; a file is whole or not there."""

from __future__ import annotations

import numpy as np
import pytest

from kinema.errors import OutputError, UsageError
from kinema.video import VideoWriter, open_video


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".mov", ".webm", ".gif"])
@pytest.mark.parametrize("fps", [25, 30000 / 1001])
def test_frames_come_back(tmp_path, draw_count, read_count, ending, fps):
    path = tmp_path / f"video{ending}"
    with VideoWriter(path, fps, (64, 96)) as writer:
        for index in range(30):
            writer.write(draw_count(index))
    with open_video(path) as video:
        assert [read_count(frame) for frame in video.frames_at(range(len(video)))] == list(range(30))
        np.testing.assert_allclose(video.times_s, np.arange(30) / fps, atol=0.006 if ending == ".gif" else 0.001)
        assert abs(video.frames_at([7])[0].astype(int) - draw_count(7)).mean() < 8


@pytest.mark.parametrize(("ending", "size"), [(".mp4", (66, 98)), (".webm", (65, 97)), (".gif", (65, 97))])
def test_odd_sizes_are_handled(tmp_path, draw_count, read_count, ending, size):
    path = tmp_path / f"odd{ending}"
    with VideoWriter(path, 25, (65, 97)) as writer:
        writer.write(draw_count(5, (65, 97)))
    with open_video(path) as video:
        assert (video.info.height, video.info.width) == size
        assert read_count(video.frames_at([0])[0]) == 5


def break_off(path, frame):
    with VideoWriter(path, 25, (64, 96)) as writer:
        writer.write(frame)
        raise RuntimeError("stop")


def test_an_error_leaves_no_file(tmp_path, draw_count, open_files):
    before = open_files()
    with pytest.raises(RuntimeError, match="stop"):
        break_off(tmp_path / "a.mp4", draw_count(0))
    assert list(tmp_path.iterdir()) == []
    assert open_files() == before


def test_an_older_file_survives_an_error(tmp_path, draw_count):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"older")
    with pytest.raises(RuntimeError, match="stop"):
        break_off(path, draw_count(0))
    assert path.read_bytes() == b"older"


def test_no_frames_is_an_error(tmp_path):
    with pytest.raises(OutputError, match="no frames"), VideoWriter(tmp_path / "a.mp4", 25, (64, 96)):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_clear_line(draw_count):
    with pytest.raises(OutputError, match="cannot write"), VideoWriter("/dev/null/a.mp4", 25, (64, 96)) as writer:
        writer.write(draw_count(0))


def test_unknown_endings_are_refused(tmp_path):
    with pytest.raises(UsageError, match="ending"):
        VideoWriter(tmp_path / "a.doc", 25, (64, 96))


def test_frames_of_another_size_are_refused(tmp_path, draw_count):
    with (
        pytest.raises(ValueError, match="expected a uint8 frame"),
        VideoWriter(tmp_path / "a.mp4", 25, (64, 96)) as out,
    ):
        out.write(draw_count(0, (32, 32)))


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".webm"])
def test_uneven_frames_keep_their_times(tmp_path, draw_count, read_count, ending):
    path, times_s = tmp_path / f"uneven{ending}", [0.0, 0.04, 0.5, 0.52, 1.3]
    with VideoWriter(path, 25, (64, 96), uneven=True) as writer:
        for index, (start_s, end_s) in enumerate(zip(times_s, [*times_s[1:], 2.0], strict=True)):
            writer.write(draw_count(index), (start_s, end_s))
    with open_video(path) as video:
        np.testing.assert_allclose(video.times_s, times_s, atol=0.002)
        assert [read_count(frame) for frame in video.frames_at(range(5))] == list(range(5))


def test_times_are_given_if_and_only_if_the_video_is_uneven(tmp_path, draw_count):
    for uneven, span_s in ((False, (0.0, 1.0)), (True, None)):
        with (
            pytest.raises(ValueError, match="span_s"),
            VideoWriter(tmp_path / "a.mp4", 25, (64, 96), uneven=uneven) as writer,
        ):
            writer.write(draw_count(0), span_s)
    assert not list(tmp_path.iterdir())
