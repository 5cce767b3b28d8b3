"""A file that cannot be opened is named with the reason."""

from __future__ import annotations

import pytest

from kinema.errors import EmptyVideo, UnreadableVideo
from kinema.video import open_video
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
    with pytest.raises(UnreadableVideo, match="no such video"):
        open_video(tmp_path / "gone.mp4")
