"""Check the checksums of FFV1 packets (RFC 9043, 4.9): FFmpeg's decoder conceals a wrong one without marking the frame."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable

_FOOTER = 8  # bytes behind a slice: its size (3), an error mark (1), the checksum (4)
_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
_NUM_PROBED = 8


class Checksums:
    """Tells which packets of an FFV1 stream can be decoded: whole ones that follow whole ones since a keyframe.

    Args:
        packets: first packets of the stream; if none has a right checksum, it has none at all, and no packet is refused.
    """

    def __init__(self, packets: Iterable[bytes]) -> None:
        self._exist = any(map(_is_intact, itertools.islice(packets, _NUM_PROBED)))
        self._is_broken = False

    def restart(self) -> None:
        """The next packet is a keyframe, or the first one."""
        self._is_broken = False

    def accepts(self, packet: bytes, is_key: bool) -> bool:
        """Whether the next packet can be decoded."""
        self._is_broken = self._exist and ((self._is_broken and not is_key) or not _is_intact(packet))
        return not self._is_broken


def _is_intact(packet: bytes) -> bool:
    """Whether all slices of a packet, found from its end, have a right checksum."""
    end = len(packet)
    while end > 0:
        start = end - _FOOTER - int.from_bytes(packet[max(end - _FOOTER, 0) : max(end - _FOOTER, 0) + 3])
        # The checksum of a slice with its own checksum is 0. zlib's has the order of bits reversed, and starts with ones.
        if start < 0 or zlib.crc32(packet[start:end].translate(_REVERSED), 0xFFFFFFFF) != 0xFFFFFFFF:
            return False
        end = start
    return len(packet) > 0
