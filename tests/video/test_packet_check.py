"""Packets that decoders would conceal are refused."""

from __future__ import annotations

import av
import numpy as np

from kinema.video import open_video
from kinema.video.ffv1 import Checksums
from kinema.video.packet_check import JpegHeaders, packet_check

HEAD, TABLE, FRAME = b"\xff\xd8", b"\xff\xdb\x00\x04ab", b"\xff\xc0\x00\x04ab"
SCAN = b"\xff\xda\x00\x02data"


def test_a_jpeg_needs_its_headers():
    check = JpegHeaders([HEAD + TABLE + FRAME + SCAN])
    assert check.accepts(HEAD + FRAME + SCAN, True)
    assert check.accepts(HEAD + b"\xff" + FRAME + SCAN, True)  # a byte that fills
    for damaged in (FRAME + SCAN, HEAD + SCAN, HEAD + FRAME, HEAD + b"\xfe" + TABLE[1:] + FRAME + SCAN, b""):
        assert not check.accepts(damaged, True)


def test_a_stream_without_right_headers_is_not_checked():
    assert JpegHeaders([HEAD + SCAN]).accepts(HEAD + SCAN, True)


def test_only_some_codecs_are_checked():
    assert packet_check("h264", []) is None
    assert isinstance(packet_check("ffv1", []), Checksums)
    assert isinstance(packet_check("mjpeg", []), JpegHeaders)


def test_a_frame_without_its_headers_is_lost_however_it_is_reached(tmp_path, write_frames, draw_count):
    path = write_frames(tmp_path / "v.mov", map(draw_count, range(12)), codec="mjpeg", pix_fmt="yuvj420p")
    with av.open(str(path)) as container:
        packet = bytes([packet for packet in container.demux(video=0) if packet.size][5])
    data = path.read_bytes()
    path.write_bytes(data.replace(packet, packet.replace(b"\xff\xda", b"\xff\xfe")))
    with open_video(path) as video:
        frames = {index: frame for index, _, frame in video.iterate()}
        assert sorted(frames) == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
        assert video.damage == "1 frame could not be decoded"
        np.testing.assert_array_equal(video.frames_at(list(frames)), np.stack(list(frames.values())))
