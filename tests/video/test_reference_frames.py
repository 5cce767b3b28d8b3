"""The marks of frames that others refer to, in packets written by hand and in films."""

from __future__ import annotations

import av
import numpy as np
import pytest

from kinema.video import open_video
from kinema.video.reference_frames import Referred, is_referred

WATCH = b"\x09\x10"  # an H.264 unit before the picture's own
REFERRED, LEFT_OUT = b"\x41\x9a", b"\x01\x9e"


def sized(*units: bytes) -> bytes:
    return b"".join(len(unit).to_bytes(4) + unit for unit in units)


def started(*units: bytes) -> bytes:
    return b"".join(b"\0\0\1" + unit for unit in units)


@pytest.mark.parametrize(("pack", "length_size"), [(sized, 4), (started, 0)])
def test_a_slice_says_whether_others_refer_to_it(pack, length_size) -> None:
    assert is_referred(pack(WATCH, REFERRED), "h264", length_size) is True
    assert is_referred(pack(WATCH, LEFT_OUT), "h264", length_size) is False
    assert is_referred(pack(WATCH), "h264", length_size) is None
    assert is_referred(pack(WATCH, b"\xc1\x9a"), "h264", length_size) is None  # a bit that is never set


@pytest.mark.parametrize("damaged", [b"", bytes(20), b"\xff" * 20, sized(WATCH) + b"\0\0"])
def test_a_damaged_packet_says_nothing(damaged: bytes) -> None:
    assert is_referred(damaged, "h264", 4) is None
    assert is_referred(damaged, "mpeg4") is None
    assert is_referred(damaged, "mpeg2video") is None


def test_b_pictures_are_those_that_nobody_refers_to() -> None:
    for kind, referred in ((0, True), (1, True), (2, False)):
        assert is_referred(b"\0\0\1\xb6" + bytes([kind << 6]), "mpeg4") is referred
    for kind, referred in ((1, True), (2, True), (3, False)):
        assert is_referred(b"\0\0\1\0\0" + bytes([kind << 3]), "mpeg2video") is referred


@pytest.mark.parametrize(
    ("codec", "name"),
    [("libx264", "a.mp4"), ("libx264", "a.ts"), ("mpeg4", "a.mkv"), ("mpeg2video", "a.mkv"), ("mpeg1video", "a.mkv")],
)
def test_marks_are_those_that_the_decoder_goes_by(codec, name, tmp_path, write_frames, draw_count) -> None:
    path = write_frames(tmp_path / name, map(draw_count, range(60)), codec=codec, options={"bf": "2", "g": "24"})
    with av.open(str(path)) as film, open_video(path) as video:
        (track,) = film.streams.video
        notes = Referred(60, track.codec_context)
        packets = sorted((packet for packet in film.demux(track) if packet.size), key=lambda packet: packet.pts)
        for frame, packet in enumerate(packets):
            notes.feed(frame, packet)
        expected, missing = notes.stand_ins(np.arange(60))
        assert expected.tolist() == [number for number, _ in video.frames_near(np.arange(60), "nonref")]
    assert 0 < len(missing) == len(expected) < 60


def notes_of(came: list[int], *packets: bytes) -> Referred:
    """Notes of a film in H.264 with start codes, one packet a frame."""
    notes = Referred(len(packets), av.CodecContext.create("h264", "r"))
    for frame, data in enumerate(packets):
        notes.feed(frame, av.Packet(started(data)))
    notes.come(came)
    return notes


def missing_of(notes: Referred, *wanted: int) -> list[int]:
    return notes.stand_ins(np.array(wanted))[1].tolist()


def test_what_should_stand_in_and_did_not_come_is_missing() -> None:
    notes = notes_of([0], REFERRED, LEFT_OUT, REFERRED, LEFT_OUT, REFERRED)
    assert missing_of(notes, 0, 1) == []
    assert missing_of(notes, 1, 3) == [2]
    notes.end(3)
    assert missing_of(notes, 0, 1, 2, 3, 4) == [2]


def test_a_packet_that_says_nothing_should_have_come_unless_such_a_one_did() -> None:
    assert missing_of(notes_of([0], REFERRED, b"", REFERRED), 0, 1) == [1]
    assert missing_of(notes_of([0, 2], REFERRED, b"", b""), 0, 1, 2) == []


def test_nothing_is_missing_where_marks_are_wrong() -> None:
    assert missing_of(notes_of([0, 1], REFERRED, LEFT_OUT, REFERRED), 0, 1, 2) == []
