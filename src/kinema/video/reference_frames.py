"""Which frames other frames refer to, as the stream says before anything is decoded, and which of these did not come.

In H.264 each slice carries the mark (nal_ref_idc, ITU-T H.264, 7.4.1); in MPEG-1, MPEG-2 and MPEG-4 part 2 it is the
picture's type: nobody refers to a B-picture.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import av

_SLICES = range(1, 6)  # the kinds of H.264 units that hold a picture
_UNIT = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
_MPEG4_PICTURE, _MPEG2_PICTURE = b"\0\0\1\xb6", b"\0\0\1\0"
_MPEG4_B, _MPEG2_B = 2, 3


class Referred:
    """Notes which frames are to come where those that nobody refers to are left out, and which do.

    Args:
        num_frames: of the film.
        codec: of the film.
    """

    def __init__(self, num_frames: int, codec: av.VideoCodecContext) -> None:
        self._name, self._length_size = codec.name, _length_size(codec.extradata or b"")
        self._marked, self._unsaid, self._came = (np.zeros(num_frames, np.bool_) for _ in range(3))

    def feed(self, frame: int, packet: av.Packet) -> None:
        """A packet goes to the decoder; `frame` is the one that it holds, -1 if that is not shown."""
        if frame >= 0:
            mark = is_referred(bytes(packet), self._name, self._length_size)
            self._marked[frame], self._unsaid[frame] = mark is True, mark is None

    def come(self, frames: list[int]) -> None:
        """Pictures of these frames have come."""
        self._came[frames] = True

    def end(self, last: int) -> None:
        """The decoder stops behind frame `last`: what was fed ahead of it is not to come."""
        for notes in (self._marked, self._unsaid, self._came):
            notes[last + 1 :] = False

    def stand_ins(self, wanted: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The frames that should stand for those wanted, and those of them that did not come.

        A packet too damaged to say what it holds should have given a picture, unless another one like it did. Where the
        marks are wrong, because a frame came that they leave out, nothing counts as missing.
        """
        due = self._marked if (self._came & self._unsaid).any() else self._marked | self._unsaid
        if (self._came & ~(self._marked | self._unsaid)).any():
            due = self._came
        frames = np.flatnonzero(self._came | due)
        places = np.searchsorted(frames, wanted, side="right") - 1
        found = np.unique(frames[places[places >= 0]])
        return found, found[~self._came[found]]


def is_referred(data: bytes, codec: str, length_size: int = 0) -> bool | None:
    """Whether other pictures may refer to the one in a packet; None where the packet does not say, as a damaged one.

    Args:
        data: the packet.
        codec: "h264", "mpeg4", "mpeg2video" or "mpeg1video".
        length_size: how many bytes say how long each unit of H.264 is; 0 where start codes part them.
    """
    if codec == "h264":
        header = next((unit for unit in _units(data, length_size) if unit & 31 in _SLICES), None)
        return None if header is None or header & 128 else bool(header >> 5 & 3)
    start, offset, shift, b_picture = (
        (_MPEG4_PICTURE, 4, 6, _MPEG4_B) if codec == "mpeg4" else (_MPEG2_PICTURE, 5, 3, _MPEG2_B)
    )
    place = data.find(start)
    if place < 0 or place + offset >= len(data):
        return None
    return (data[place + offset] >> shift & 7) != b_picture


def _units(data: bytes, length_size: int) -> Iterator[int]:
    """The first byte of each unit of an H.264 packet, up to one of an impossible length."""
    if not length_size:
        yield from (found[1][0] for found in _UNIT.finditer(data))
        return
    place = 0
    while place + length_size < len(data):
        length = int.from_bytes(data[place : place + length_size])
        place += length_size
        if not 0 < length <= len(data) - place:
            return
        yield data[place]
        place += length


def _length_size(extradata: bytes) -> int:
    """How many bytes say how long a unit of H.264 is, by the codec's header; 0 where start codes part them."""
    return (extradata[4] & 3) + 1 if len(extradata) > 4 and extradata[0] == 1 else 0
