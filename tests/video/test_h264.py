"""Fields and B-slices are found in H.264 packets."""

from __future__ import annotations

import av
import pytest

from kinema.video.h264 import SliceReader


def packets_of(path):
    with av.open(str(path)) as container:
        (track,) = container.streams.video
        found = [bytes(packet) for packet in container.demux(track) if packet.size]
        return SliceReader(track.codec_context.extradata), found


def test_each_packet_of_a_field_coded_stream_is_a_field(tmp_path, write_fields, draw_count):
    slices, found = packets_of(write_fields(tmp_path / "a.h264", [draw_count(index) for index in range(5)]))
    assert slices.may_have_fields
    assert [slices.is_single_field(packet) for packet in found] == [True] * 10
    assert not slices.is_single_field(found[0] + found[1])


@pytest.mark.parametrize("ending", [".mp4", ".h264"])
@pytest.mark.parametrize("params", ["interlaced=1", "tff=1:bframes=2", "cqm=jvt:tff=1"])
def test_an_interlaced_stream_of_whole_frames_has_no_fields(ending, params, tmp_path, write_frames, draw_count):
    options = {"x264-params": params, "profile:v": "high"}
    path = write_frames(tmp_path / f"a{ending}", map(draw_count, range(10)), options=options)
    slices, found = packets_of(path)
    assert slices.may_have_fields
    assert not any(map(slices.is_single_field, found))


@pytest.mark.parametrize(("bf", "expected"), [("0", 0), ("2", 6)])
@pytest.mark.parametrize("ending", [".mp4", ".h264"])
def test_b_slices_are_found(bf, expected, ending, tmp_path, write_frames, draw_count):
    options = {"bf": bf, "b_strategy": "0", "sc_threshold": "0"}
    slices, found = packets_of(write_frames(tmp_path / f"a{ending}", map(draw_count, range(10)), options=options))
    assert not slices.may_have_fields
    assert sum(map(slices.has_b_slice, found)) == expected


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\1", b"\0\0\1\x67", b"\1" + b"\xff" * 30, b"\xff" * 40])
def test_damaged_headers_say_nothing(data):
    slices = SliceReader(data)
    assert not slices.may_have_fields
    assert not slices.is_single_field(data)
    assert not slices.has_b_slice(data)


def test_the_type_of_a_slice_is_read_from_its_first_byte_or_further_on():
    def slices(first: int, kind: int) -> bytes:
        bits = "".join(f"{value + 1:0{2 * (value + 1).bit_length() - 1}b}" for value in (first, kind)) + "1"
        bits += "0" * (-len(bits) % 8)
        return b"\0\0\0\1\x41" + int(bits, 2).to_bytes(len(bits) // 8)

    for first in (0, 5):
        assert [kind for kind in range(10) if SliceReader(b"").has_b_slice(slices(first, kind))] == [1, 6]
