"""From a decoder's picture to RGB: conversion, resizing and turning upright in one place.

swscale resizes while it converts, so that a small request never makes a full-size RGB frame. Its bilinear filter widens
when it shrinks (every source pixel counts, as with torchvision's `antialias=True`). It writes planes (gbrp)
when it resizes and packs them afterwards: its packed output of a resized picture takes a slow path, the detour was
measured at about half the time, with colour at full resolution. Other filters were measured too, on four films shrunk to
112 rows: AREA takes a fifth less time, but is 4 to 19 dB further from an exact antialiased resize; FAST_BILINEAR drops
pixels (16 to 26 dB); by way of a small yuv420p picture a third is saved and colour lost (19 to 41 dB instead of 42 to
57). Threads for a single picture cost more than they save. Each picture is converted by itself: the same frame is the
same bytes however it was reached.
"""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from kinema.video.contract import Frame

_FLAGS = Interpolation.BILINEAR


@dataclass(frozen=True, slots=True)
class Turn:
    """How a stored picture has to be turned before it is shown: first transposed, then flipped."""

    transposed: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @property
    def is_none(self) -> bool:
        """Whether the picture is stored as it is shown."""
        return not (self.transposed or self.flip_rows or self.flip_columns)

    def __call__(self, frame: Frame) -> Frame:
        """A view of a frame [h w c] the right way up."""
        if self.transposed:
            frame = frame.transpose(1, 0, 2)
        return frame[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]


def turn_of(picture: av.VideoFrame) -> Turn:
    """Read the display matrix that phones write instead of turning the pixels; to the nearest quarter turn."""
    data = picture.side_data.get("DISPLAYMATRIX")
    if data is None:
        return Turn()
    a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(data), np.int32)[:5])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Turn(False, d < 0, a < 0)
    return Turn(True, b < 0, c < 0)


class Painter:
    """Turns decoded pictures into RGB of one size.

    Args:
        height, width: of the frames it makes, rotation applied.
        turn: how stored pictures have to be turned.
    """

    def __init__(self, height: int, width: int, turn: Turn) -> None:
        self._turn = turn
        self._size = (width, height) if turn.transposed else (height, width)
        self._resizer, self._packer = VideoReformatter(), VideoReformatter()

    def paint(self, picture: av.VideoFrame, out: Frame) -> None:
        """Write a picture into `out` [h w c]."""
        height, width = self._size
        if (picture.height, picture.width) != self._size:
            picture = self._resizer.reformat(picture, width, height, "gbrp", interpolation=_FLAGS, threads=1)
        plane = self._packer.reformat(picture, format="rgb24", interpolation=_FLAGS, threads=1).planes[0]
        stored = np.frombuffer(memoryview(plane), np.uint8).reshape(height, plane.line_size)[:, : 3 * width]
        out[...] = self._turn(stored.reshape(height, width, 3))
