"""Refuse damaged packets of codecs whose decoders in FFmpeg conceal the damage without marking the frame."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Protocol

from kinema.video.ffv1 import Checksums

_NUM_PROBED = 8
_START, _SCAN = 0xD8, 0xDA  # markers of a JPEG (ITU-T T.81, annex B): its beginning, the header of a scan
_FRAME = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xF7})  # headers of a frame


class PacketCheck(Protocol):
    """Tells which packets of a stream can be decoded."""

    def restart(self) -> None:
        """The next packet is a keyframe, or the first one."""

    def accepts(self, packet: bytes, is_key: bool) -> bool:
        """Whether the next packet can be decoded."""


class JpegHeaders:
    """Refuses packets whose headers are not those of a JPEG: FFmpeg's decoder would take tables or pixels of earlier frames.

    Args:
        packets: first packets of the stream; if none has right headers, no packet is refused.
    """

    def __init__(self, packets: Iterable[bytes]) -> None:
        self._are_right = any(map(_has_headers, itertools.islice(packets, _NUM_PROBED)))

    def restart(self) -> None:
        """Packets do not depend on each other."""

    def accepts(self, packet: bytes, is_key: bool) -> bool:
        """See `PacketCheck.accepts`."""
        return not self._are_right or _has_headers(packet)


def _has_headers(packet: bytes) -> bool:
    """Whether segments follow each other from the beginning to the first scan, with that of a frame among them."""
    place, has_frame = 2, False
    if packet[:2] != bytes([0xFF, _START]):
        return False
    while place + 4 <= len(packet) and packet[place] == 0xFF:
        marker = packet[place + 1]
        if marker == _SCAN:
            return has_frame
        has_frame |= marker in _FRAME
        place += 1 if marker == 0xFF else 2 + int.from_bytes(packet[place + 2 : place + 4])
    return False


def packet_check(codec: str, packets: Iterable[bytes]) -> PacketCheck | None:
    """The check for a codec whose first packets are `packets`; None if it needs none."""
    if codec == "ffv1":
        return Checksums(packets)
    return JpegHeaders(packets) if codec == "mjpeg" else None
