"""The decoder of a file starts anew at packets, refuses damaged ones, and conceals errors only when it is told to."""

from __future__ import annotations

import pytest

from kinema.video.packet_decoder import PacketDecoder, conceals_silently
from kinema.video.packet_reader import PacketReader


@pytest.fixture
def decoder(tmp_path, write_frames, draw_count):
    """MJPEG whose third frame breaks off in the middle, which FFmpeg does not mark."""
    path = write_frames(tmp_path / "v.mov", map(draw_count, range(4)), codec="mjpeg", pix_fmt="yuvj420p")
    reader = PacketReader(str(path))
    size = reader.index.packets[2].size
    data = bytearray(path.read_bytes())
    place = data.index(bytes(reader.index.packets[2]))
    data[place + size * 3 // 4 : place + size - 2] = bytes(size - 2 - size * 3 // 4)
    reader.close()
    path.write_bytes(data)
    made = PacketDecoder(PacketReader(str(path)))
    yield made
    made._reader.close()


def num_frames(decoder, **how):
    decoder._restart(0, **how)
    return [len(decoder._send_or_refuse(packet) or []) for _, packet in decoder._packets(0)]


def test_a_damaged_packet_is_refused_unless_errors_are_concealed(decoder):
    decoder._set_options()
    assert conceals_silently(decoder._codec)
    assert num_frames(decoder) == [1, 1, 0, 1]
    assert num_frames(decoder, conceals=True) == [1, 1, 1, 1]
    assert num_frames(decoder) == [1, 1, 0, 1]


def test_a_new_decoder_is_made_when_asked(decoder):
    first = decoder._codec
    decoder._restart(0)
    assert decoder._codec is first
    decoder._restart(0, is_new=True)
    assert decoder._codec is not first
    assert decoder._is_new
