"""Marks of reference frames, in packets written by hand and in videos."""

from __future__ import annotations

import av
import numpy as np
import pytest

from kinema.video import open_video
from kinema.video.reference_frames import ReferenceFrames, is_reference

WATCH = b"\x09\x10"  # an H.264 unit before the picture's own
REFERENCE, NON_REFERENCE = b"\x41\x9a", b"\x01\x9e"


def sized(*units: bytes) -> bytes:
    return b"".join(len(unit).to_bytes(4) + unit for unit in units)


def started(*units: bytes) -> bytes:
    return b"".join(b"\0\0\1" + unit for unit in units)


@pytest.mark.parametrize(("pack", "length_size"), [(sized, 4), (started, 0)])
def test_a_slice_says_whether_others_refer_to_it(pack, length_size) -> None:
    assert is_reference(pack(WATCH, REFERENCE), "h264", length_size) is True
    assert is_reference(pack(WATCH, NON_REFERENCE), "h264", length_size) is False
    assert is_reference(pack(WATCH), "h264", length_size) is None
    assert is_reference(pack(WATCH, b"\xc1\x9a"), "h264", length_size) is None  # a bit that is never set


@pytest.mark.parametrize("damaged", [b"", bytes(20), b"\xff" * 20, sized(WATCH) + b"\0\0"])
def test_a_damaged_packet_says_nothing(damaged: bytes) -> None:
    assert is_reference(damaged, "h264", 4) is None
    assert is_reference(damaged, "mpeg4") is None
    assert is_reference(damaged, "mpeg2video") is None


def test_b_images_are_those_that_nobody_refers_to() -> None:
    for kind, referred in ((0, True), (1, True), (2, False)):
        assert is_reference(b"\0\0\1\xb6" + bytes([kind << 6]), "mpeg4") is referred
    for kind, referred in ((1, True), (2, True), (3, False)):
        assert is_reference(b"\0\0\1\0\0" + bytes([kind << 3]), "mpeg2video") is referred


@pytest.mark.parametrize(
    ("codec", "name"),
    [("libx264", "a.mp4"), ("libx264", "a.ts"), ("mpeg4", "a.mkv"), ("mpeg2video", "a.mkv"), ("mpeg1video", "a.mkv")],
)
def test_marks_are_those_that_the_decoder_goes_by(codec, name, tmp_path, write_frames, draw_count) -> None:
    path = write_frames(tmp_path / name, map(draw_count, range(60)), codec=codec, options={"bf": "2", "g": "24"})
    with av.open(str(path)) as container, open_video(path) as video:
        (track,) = container.streams.video
        record = ReferenceFrames(60, track.codec_context)
        packets = sorted((packet for packet in container.demux(track) if packet.size), key=lambda packet: packet.pts)
        for frame, packet in enumerate(packets):
            record.add_packet(frame, packet)
        expected, missing = record.nearest(np.arange(60))
        assert expected.tolist() == [number for number, _ in video.frames_near(np.arange(60), "nonref")]
    assert 0 < len(missing) == len(expected) < 60


def record_of(came: list[int], *packets: bytes) -> ReferenceFrames:
    """Records of a video in H.264 with start codes, one packet a frame."""
    record = ReferenceFrames(len(packets), av.CodecContext.create("h264", "r"))
    for frame, data in enumerate(packets):
        record.add_packet(frame, av.Packet(started(data)))
    record.add_decoded(came)
    return record


def missing_of(record: ReferenceFrames, *wanted: int) -> list[int]:
    return record.nearest(np.array(wanted))[1].tolist()


def test_a_reference_frame_that_was_due_and_not_decoded_is_missing() -> None:
    record = record_of([0], REFERENCE, NON_REFERENCE, REFERENCE, NON_REFERENCE, REFERENCE)
    assert missing_of(record, 0, 1) == []
    assert missing_of(record, 1, 3) == [2]
    record.end(3)
    assert missing_of(record, 0, 1, 2, 3, 4) == [2]


def test_a_packet_that_says_nothing_should_have_come_unless_such_a_one_did() -> None:
    assert missing_of(record_of([0], REFERENCE, b"", REFERENCE), 0, 1) == [1]
    assert missing_of(record_of([0, 2], REFERENCE, b"", b""), 0, 1, 2) == []


def test_nothing_is_missing_where_marks_are_wrong() -> None:
    assert missing_of(record_of([0, 1], REFERENCE, NON_REFERENCE, REFERENCE), 0, 1, 2) == []
