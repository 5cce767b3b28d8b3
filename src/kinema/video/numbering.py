"""Decode a video as a whole to find out which packets give its frames, and in what order."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import av
import numpy as np
from numpy.typing import NDArray

_KEPT_BYTES = 64 << 20  # decoded frames are kept up to this size


@dataclass
class Numbering:
    """What a decoder gave for the packets of a video.

    Args:
        origins: [n] the packet of each frame in the order of the decoder's output, -1 if unknown.
        frames: the frames, if all of them are small enough to keep; else none.
        refused: packets that could not be decoded.
        concealed: frames that FFmpeg marks as corrupt.
    """

    origins: NDArray[np.int64]
    frames: list[av.VideoFrame]
    refused: list[int] = field(default_factory=list)
    concealed: set[int] = field(default_factory=set)


def number_by_decoding(
    packets: Iterable[tuple[int, av.Packet]], send: Callable[[av.Packet | None], list[av.VideoFrame] | None]
) -> Numbering:
    """Decode all packets of a video.

    Args:
        packets: number and packet, from the first to the last.
        send: sends a packet to the decoder, None to drain it; gives the frames that it outputs, None if it refuses the packet.
    """
    origins, num_bytes = array("q"), 0
    found = Numbering(np.zeros(0, np.int64), [])
    for number, packet in itertools.chain(packets, [(-1, None)]):
        # A frame has the timestamp of its packet: for this pass that is the packet's number.
        stated = None
        if packet is not None:
            stated, packet.pts = packet.pts, number
        batch = send(packet)
        if packet is not None:
            packet.pts = stated
        if batch is None:
            found.refused += [number] if packet is not None else []
            continue
        found.concealed |= {len(origins) + place for place, frame in enumerate(batch) if frame.is_corrupt}
        origins.extend(-1 if frame.pts is None else frame.pts for frame in batch)
        num_bytes += sum(plane.buffer_size for frame in batch for plane in frame.planes)
        found.frames = [*found.frames, *batch] if num_bytes < _KEPT_BYTES else []
    found.origins = np.frombuffer(origins, np.int64)
    return found
