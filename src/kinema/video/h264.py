"""Read the few bits of an H.264 stream that its packets are numbered by (ITU-T H.264, 7.3): units, fields, B-slices."""

from __future__ import annotations

import re
from collections.abc import Iterator

_START = re.compile(rb"\x00\x00\x01")
_SLICES, _SPS = frozenset(range(1, 6)), 7  # types of the units that hold a slice, a sequence parameter set
# Profiles whose sequence parameter set states a chroma format.
_CHROMA_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_MAX_HEADER = 512  # bytes of a unit that are looked at
_B_SLICE = 1


def length_size(extradata: bytes) -> int:
    """Bytes of the length field before each unit, by the codec's header; 0 if start codes separate the units."""
    return (extradata[4] & 3) + 1 if len(extradata) > 4 and extradata[0] == 1 else 0


def units(data: bytes, size: int) -> Iterator[bytes]:
    """Yield the first bytes of each unit of a packet, up to a unit of an impossible length.

    Args:
        data: the packet.
        size: see `length_size`.
    """
    if not size:
        yield from (data[found.end() : found.end() + _MAX_HEADER] for found in _START.finditer(data, 0, len(data) - 1))
        return
    place = 0
    while place + size < len(data):
        length = int.from_bytes(data[place : place + size])
        place += size
        if not 0 < length <= len(data) - place:
            return
        yield data[place : place + min(length, _MAX_HEADER)]
        place += length


class SliceReader:
    """Reads slice headers of one stream.

    Args:
        extradata: the codec's header, with the sequence parameter set.
    """

    def __init__(self, extradata: bytes) -> None:
        self._size = length_size(extradata)
        self._frame_num_bits = 0  # 0: the stream has no fields, or its parameters are unknown
        self._has_planes = False
        for unit in _parameter_units(extradata) if self._size else units(extradata, 0):
            if unit[0] & 31 == _SPS:
                self._read_parameters(_Bits(unit[1:]))

    @property
    def may_have_fields(self) -> bool:
        """Whether the stream may code the two fields of a frame as pictures of their own."""
        return self._frame_num_bits > 0

    def is_single_field(self, packet: bytes) -> bool:
        """Whether a packet holds one field of a frame, and not both."""
        return len({self._field(unit) for unit in units(packet, self._size) if unit[0] & 31 in (1, 5)} - {None}) == 1

    def has_b_slice(self, packet: bytes) -> bool:
        """Whether a packet's first slice is a B-slice."""
        for unit in units(packet, self._size):
            if unit[0] & 31 in _SLICES:
                if (
                    len(unit) > 1 and unit[1] & 128
                ):  # the slice begins with macroblock 0, and its type is in the same byte
                    return unit[1] & 0b1110000 == 0b0100000 or unit[1] & 0b1111100 == 0b0011100  # types 1 and 6
                bits = _Bits(unit[1:])
                bits.golomb()
                return bits.golomb() % 5 == _B_SLICE
        return False

    def _field(self, unit: bytes) -> int | None:
        """Number of a slice's field, 0 or 1; None for a slice of a whole frame."""
        bits = _Bits(unit[1:])
        for _ in range(3):  # first macroblock, type, picture parameter set
            bits.golomb()
        bits.take((2 if self._has_planes else 0) + self._frame_num_bits)
        return bits.take(1) if bits.take(1) else None

    def _read_parameters(self, bits: _Bits) -> None:
        profile = bits.take(24) >> 16
        bits.golomb()
        if profile in _CHROMA_PROFILES:
            chroma = bits.golomb()
            self._has_planes = chroma == 3 and bits.take(1) == 1
            bits.golomb()
            bits.golomb()
            bits.take(1)
            if bits.take(1):  # scaling lists
                for size in [16] * 6 + [64] * (6 if chroma == 3 else 2):
                    _skip_scaling_list(bits, size)
        frame_num_bits = bits.golomb() + 4
        order = bits.golomb()
        if order == 0:
            bits.golomb()
        elif order == 1:
            bits.take(1)
            bits.golomb()
            bits.golomb()
            for _ in range(min(bits.golomb(), 255)):
                bits.golomb()
        bits.golomb()
        bits.take(1)
        bits.golomb()
        bits.golomb()
        frame_only = bits.take(1)
        self._frame_num_bits = 0 if frame_only or bits.is_over else frame_num_bits


def _parameter_units(extradata: bytes) -> Iterator[bytes]:
    place = 6
    for _ in range(extradata[5] & 31 if len(extradata) > 5 else 0):
        length = int.from_bytes(extradata[place : place + 2])
        if length:
            yield extradata[place + 2 : place + 2 + length]
        place += 2 + length


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    if not bits.take(1):
        return
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.golomb()
            following = (last + ((code + 1) // 2 if code % 2 else -(code // 2))) % 256
        last = following or last


class _Bits:
    """Bits of a unit from its second byte on; zeros behind its end."""

    def __init__(self, data: bytes) -> None:
        data = data.replace(b"\0\0\3", b"\0\0")  # the bytes that keep start codes out of the data
        self._value, self._left = int.from_bytes(data), 8 * len(data)

    @property
    def is_over(self) -> bool:
        return self._left < 0

    def take(self, count: int) -> int:
        """The next `count` bits."""
        self._left -= count
        return self._value >> self._left & (1 << count) - 1 if self._left >= 0 else 0

    def golomb(self) -> int:
        """The next number in Exp-Golomb code, as unsigned."""
        zeros = 0
        while self._left > 0 and not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)
