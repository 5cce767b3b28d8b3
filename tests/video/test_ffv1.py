from __future__ import annotations

import av
import numpy as np
import pytest

from kinema.video.ffv1 import Checksums


@pytest.fixture(scope="module")
def packets(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Four frames of noise as FFV1 (version 3, slices with checksums)."""
    path, rng = tmp_path_factory.mktemp("ffv1") / "noise.mkv", np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25, options={"level": "3", "slicecrc": "1", "slices": "4"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(4):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 256, (48, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def flipped(packet: bytes) -> bytes:
    """The packet with a bit of its middle changed."""
    middle = len(packet) // 2
    return packet[:middle] + bytes([packet[middle] ^ 1]) + packet[middle + 1 :]


def test_whole_packets_are_accepted_and_changed_ones_refused(packets: list[bytes]) -> None:
    checksums = Checksums(packets)
    assert [checksums.accepts(packet, is_key=True) for packet in packets] == [True] * 4
    assert not checksums.accepts(flipped(packets[1]), is_key=True)


def test_what_follows_a_changed_packet_is_refused_up_to_a_keyframe(packets: list[bytes]) -> None:
    checksums = Checksums(packets)
    assert not checksums.accepts(flipped(packets[0]), is_key=True)
    assert not checksums.accepts(packets[1], is_key=False)
    assert checksums.accepts(packets[2], is_key=True)
    assert not checksums.accepts(flipped(packets[3]), is_key=False)
    checksums.restart()
    assert checksums.accepts(packets[3], is_key=False)


def test_a_stream_without_checksums_is_taken_as_it_is() -> None:
    checksums = Checksums([b"no checksum here"] * 3)
    assert checksums.accepts(b"anything", is_key=False)
