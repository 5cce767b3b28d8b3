"""Convert decoded frames to RGB: conversion, resizing and rotation in one place.

swscale resizes while it converts, so a small request never makes a full-size RGB frame. Its bilinear filter widens when
it shrinks (every source pixel counts, as with torchvision's `antialias=True`). A frame that has to be resized is
written as planes (gbrp) first and packed to RGB afterwards: swscale's packed output of a resized frame takes a slow
path, the detour took about half the time and keeps colour at full resolution.

Other filters, measured on four videos shrunk to 112 rows: AREA takes a fifth less time, but is 4 to 19 dB further from an
exact antialiased resize; FAST_BILINEAR drops pixels (16 to 26 dB); a small yuv420p frame in between saves a third of
the time and loses colour (19 to 41 dB instead of 42 to 57). Threads for a single frame cost more than they save. Each
frame is converted by itself, so it has the same bytes however it was reached.
"""

from __future__ import annotations

from dataclasses import dataclass

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from kinema.video.contract import Frame

_FILTER = Interpolation.BILINEAR


@dataclass(frozen=True, slots=True)
class Rotation:
    """How to bring a stored frame upright: transpose it first, then flip it."""

    transposed: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    def __call__(self, frame: Frame) -> Frame:
        """An upright view of a stored frame [h w c]."""
        if self.transposed:
            frame = frame.transpose(1, 0, 2)
        return frame[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]


def rotation_of(frame: av.VideoFrame) -> Rotation:
    """Read the display matrix that phones write instead of rotating the pixels, rounded to a quarter turn."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return Rotation()
    a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(data), np.int32)[:5])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Rotation(False, d < 0, a < 0)
    return Rotation(True, b < 0, c < 0)


class FrameConverter:
    """Converts decoded frames to upright RGB frames of one size.

    Args:
        height, width: of the RGB frames, rotation applied.
        rotation: how to bring decoded frames upright.
    """

    def __init__(self, height: int, width: int, rotation: Rotation) -> None:
        self._rotation = rotation
        self._stored_size = (width, height) if rotation.transposed else (height, width)
        self._resizer, self._packer = VideoReformatter(), VideoReformatter()

    def convert(self, decoded: av.VideoFrame, out: Frame) -> None:
        """Write a decoded frame into `out` [h w c]."""
        height, width = self._stored_size
        if (decoded.height, decoded.width) != self._stored_size:
            decoded = self._resizer.reformat(decoded, width, height, "gbrp", interpolation=_FILTER, threads=1)
        plane = self._packer.reformat(decoded, format="rgb24", interpolation=_FILTER, threads=1).planes[0]
        # A line may be longer than its pixels: line_size counts the padding.
        stored = np.frombuffer(memoryview(plane), np.uint8).reshape(height, plane.line_size)[:, : 3 * width]
        out[...] = self._rotation(stored.reshape(height, width, 3))
