"""Near-duplicate videos: a perceptual hash of a few frames, and the search for similar ones.

Each of four frames, from the middles of four equal parts of the video, becomes a grid of 9 x 8 grey cells; a bit says whether a
cell is brighter than the one to its right (difference hash). Scaling, recompression and brightness change few of the 256 bits.
Frames of mostly one colour share bits by chance, so the grey cells have to correlate as well. Similar videos are copies, or show
the same scene: clips a second apart, or of a fixed camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinema.video import Video

NUM_FRAMES = 4
MAX_DISTANCE = 26
"""Pairs that differ in more of the 256 bits are not similar."""
MIN_CORRELATION = 0.98
"""Pairs whose grey cells correlate less are not similar."""

_FLAT_GREY = 4.0
_CELL_PX = 4
_CHUNK_ROWS = 512


@dataclass(frozen=True, slots=True, eq=False)
class PerceptualHash:
    """The hash of a video: bits uint8 [256], each 0 or 1, and mean grey values of the cells float32 [4 8 9]."""

    bits: NDArray[np.uint8]
    cells: NDArray[np.float32]

    @property
    def is_flat(self) -> bool:
        """Whether the frames have too little contrast to be compared, such as black ones."""
        return bool(self.cells.std(axis=(1, 2)).max() < _FLAT_GREY)


def hash_video(video: Video) -> PerceptualHash:
    """Decode four small frames and hash them.

    Raises:
        UnreadableVideo: one of them cannot be decoded.
    """
    indices = ((np.arange(NUM_FRAMES) + 0.5) / NUM_FRAMES * video.info.num_frames).astype(np.int64)
    frames = video.frames_at(indices, (8 * _CELL_PX, 9 * _CELL_PX))
    grey = frames.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    cells = grey.reshape(NUM_FRAMES, 8, _CELL_PX, 9, _CELL_PX).mean(axis=(2, 4), dtype=np.float32)
    bits = (cells[:, :, :-1] > cells[:, :, 1:]).astype(np.uint8).reshape(-1)
    return PerceptualHash(bits, cells)


def similar_pairs(hashes: Sequence[PerceptualHash], parts: Sequence[object]) -> list[tuple[int, int, int]]:
    """Pairs of similar videos that are in different parts, or both in none.

    Args:
        hashes: one for each video.
        parts: the part of each video, or None.

    Returns:
        first index, second index, number of different bits; the most similar first.
    """
    compared = [index for index, found in enumerate(hashes) if not found.is_flat]
    if len(compared) < 2:
        return []
    bits = np.stack([hashes[index].bits for index in compared]).astype(np.float32)
    ones = bits.sum(axis=1)
    pairs = []
    for start in range(0, len(compared), _CHUNK_ROWS):
        rows = bits[start : start + _CHUNK_ROWS]
        distance = ones[start : start + _CHUNK_ROWS, None] + ones[None] - 2 * rows @ bits.T
        for row, column in np.argwhere(distance <= MAX_DISTANCE):
            a, b = compared[start + row], compared[column]
            if a < b and (parts[a] != parts[b] or parts[a] is None):
                # the correlation ignores brightness and contrast
                correlation = np.corrcoef(hashes[a].cells.reshape(-1), hashes[b].cells.reshape(-1))[0, 1]
                if correlation >= MIN_CORRELATION:
                    pairs.append((a, b, round(float(distance[row, column]))))
    return sorted(pairs, key=lambda pair: pair[2])
