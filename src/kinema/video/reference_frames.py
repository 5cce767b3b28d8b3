"""Find out from packets, without decoding, which frames other frames refer to, and which of these were not decoded.

In H.264 each slice carries the mark (nal_ref_idc, ITU-T H.264, 7.4.1). In MPEG-1, MPEG-2 and MPEG-4 part 2 the picture
type says it: no other frame refers to a B-picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kinema.video.h264 import length_size, units

if TYPE_CHECKING:
    import av

_SLICES = range(1, 6)  # types of the H.264 NAL units that hold a picture
_MPEG4_PICTURE, _MPEG2_PICTURE = b"\0\0\1\xb6", b"\0\0\1\0"
_MPEG4_B, _MPEG2_B = 2, 3


class ReferenceFrames:
    """Compares the frames that the decoder should output, when it skips non-reference frames, with those it did output.

    A decoder that skips frames gives no error for a damaged one. So each packet's own mark tells whether a frame was due:
    a reference frame that was due and was not output is lost.

    Args:
        num_frames: of the video.
        codec: of the video.
    """

    def __init__(self, num_frames: int, codec: av.VideoCodecContext) -> None:
        self._codec, self._length_size = codec.name, length_size(codec.extradata or b"")
        self._marked, self._unknown, self._decoded = (np.zeros(num_frames, np.bool_) for _ in range(3))

    def add_packet(self, frame: int, packet: av.Packet) -> None:
        """Record a packet that is sent to the decoder; `frame` is the frame it holds, -1 if that is not displayed."""
        if frame >= 0:
            mark = is_reference(bytes(packet), self._codec, self._length_size)
            self._marked[frame], self._unknown[frame] = mark is True, mark is None

    def add_decoded(self, frames: list[int]) -> None:
        """Record frames that the decoder output."""
        self._decoded[frames] = True

    def end(self, last: int) -> None:
        """Decoding stops after frame `last`: packets that were sent ahead of it give no frame any more."""
        for record in (self._marked, self._unknown, self._decoded):
            record[last + 1 :] = False

    def nearest(self, wanted: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The frames that should replace those wanted, and those of them that were not decoded.

        A packet without a readable mark (a damaged one) counts as a reference frame, unless another packet without a mark
        did give a frame. If a frame was output that the marks call non-reference, the marks are wrong and nothing counts
        as missing.
        """
        due = self._marked if (self._decoded & self._unknown).any() else self._marked | self._unknown
        if (self._decoded & ~(self._marked | self._unknown)).any():
            due = self._decoded
        frames = np.flatnonzero(self._decoded | due)
        places = np.searchsorted(frames, wanted, side="right") - 1
        found = np.unique(frames[places[places >= 0]])
        return found, found[~self._decoded[found]]


def is_reference(data: bytes, codec: str, size: int = 0) -> bool | None:
    """Whether other frames may refer to the frame in a packet; None if the packet does not say, as a damaged one.

    Args:
        data: the packet.
        codec: "h264", "mpeg4", "mpeg2video" or "mpeg1video".
        size: bytes of the length field before each H.264 NAL unit; 0 if start codes separate the units.
    """
    if codec == "h264":
        header = next((unit[0] for unit in units(data, size) if unit[0] & 31 in _SLICES), None)
        return None if header is None or header & 128 else bool(header >> 5 & 3)
    start, offset, shift, b_picture = (
        (_MPEG4_PICTURE, 4, 6, _MPEG4_B) if codec == "mpeg4" else (_MPEG2_PICTURE, 5, 3, _MPEG2_B)
    )
    place = data.find(start)
    if place < 0 or place + offset >= len(data):
        return None
    return (data[place + offset] >> shift & 7) != b_picture
