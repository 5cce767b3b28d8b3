"""A video decoded as a whole tells which packets give its frames."""

from __future__ import annotations

import av
import pytest

from kinema.video import numbering
from kinema.video.container import open_container
from kinema.video.numbering import number_by_decoding


@pytest.fixture
def opened(counting_video):
    container, track = open_container(str(counting_video))
    with container:
        yield [packet for packet in container.demux(track) if packet.size], track.codec_context


def send_all(codec):
    def send(packet):
        try:
            return list(codec.decode(packet))
        except av.FFmpegError:
            return None

    return send


def test_frames_come_from_their_packets_in_the_order_of_their_times(opened):
    packets, codec = opened
    stated = [packet.pts for packet in packets]
    found = number_by_decoding(enumerate(packets), send_all(codec))
    assert found.origins.tolist() == sorted(range(120), key=stated.__getitem__)
    assert (len(found.frames), found.refused, found.concealed) == (120, [], set())
    assert [packet.pts for packet in packets] == stated


def test_too_many_frames_are_not_kept(opened, monkeypatch):
    monkeypatch.setattr(numbering, "_KEPT_BYTES", 50_000)
    packets, codec = opened
    found = number_by_decoding(enumerate(packets), send_all(codec))
    assert (len(found.origins), found.frames) == (120, [])


def test_refused_packets_are_told(opened):
    packets, codec = opened
    send = send_all(codec)
    found = number_by_decoding(enumerate(packets), lambda packet: None if packet is packets[7] else send(packet))
    assert found.refused == [7]
    assert len(found.origins) < 120
