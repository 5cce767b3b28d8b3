"""A file that cannot be opened is named with the reason."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from kinema.errors import EmptyVideo, UnreadableVideo
from kinema.video import VideoWriter, open_stream, open_video
from kinema.video.container import packets_of


def test_a_track_that_begins_in_the_middle_of_a_recording_changes_nothing():
    """PyAV raises IndexError at such a packet, which is lost; the next call goes on after it."""

    class Container:
        left = [1, 2, None, 3, None, None, 4]

        def demux(self, track):
            while self.left:
                packet = self.left.pop(0)
                if packet is None:
                    raise IndexError("list index out of range")
                yield packet

    assert list(packets_of(Container(), None)) == [1, 2, 3, 4]


WRONG = [
    ("empty_file", UnreadableVideo, "empty"),
    ("text_file", UnreadableVideo, "not a video"),
    ("truncated_video", UnreadableVideo, "not a video, or damaged"),
    ("audio_file", UnreadableVideo, "no video track"),
    ("zero_frame_video", EmptyVideo, "no frames"),
]


@pytest.mark.parametrize(("name", "kind", "words"), WRONG)
def test_what_is_no_video_is_one_clear_line(name, kind, words, request, capfd, open_files):
    path = request.getfixturevalue(name)
    before = open_files()
    with pytest.raises(kind, match=words) as caught:
        open_video(path)
    assert open_files() == before
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UnreadableVideo, match="no such file or folder"):
        open_video(tmp_path / "gone.mp4")


@pytest.mark.parametrize(
    "name", ["12:30.mp4", "file:other.mp4", "http:127.0.0.1:9.mp4", "pipe:0.mp4", "concat:a|b.mp4", "%02d.mp4"]
)
def test_a_local_name_is_never_an_address(name, counting_video, short_video, tmp_path, monkeypatch, read_count):
    monkeypatch.chdir(tmp_path)
    shutil.copy(counting_video, name)
    for other in ("other.mp4", "a", "01.mp4"):
        shutil.copy(short_video, other)
    with open_video(name) as video:
        assert (len(video), read_count(video.frames_at([77])[0])) == (120, 77)
        assert video.info.path == name
    with open_stream(name, realtime=False) as stream:
        assert sum(1 for _ in stream) == 120
    with VideoWriter(name, 25, (64, 96)) as writer:
        writer.write(np.zeros((64, 96, 3), np.uint8))
    with open_video(name) as video:
        assert len(video) == 1


LISTS = [
    "ffconcat version 1.0\nfile other.mp4\n",
    "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:4,\nother.mp4\n#EXT-X-ENDLIST\n",
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
]


@pytest.mark.parametrize("text", LISTS)
@pytest.mark.parametrize("ending", [".mp4", ".m3u8", ".ts"])
def test_a_list_of_other_files_opens_none(text, ending, counting_video, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(counting_video, "other.mp4")
    Path(f"list{ending}").write_text(text)
    with pytest.raises(UnreadableVideo, match="not a video"):
        open_video(f"list{ending}")
