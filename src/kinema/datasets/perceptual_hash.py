"""Videos that look alike: a perceptual hash of a few frames, and the search for near ones.

Each of four frames, from the middles of four equal parts of the video, becomes 9 x 8 grey squares; a bit says whether a
square is brighter than the one to its right (difference hash). Scaling, recompression and other brightness change few
of the 256 bits. Pictures that are mostly one colour share bits by nature, so the grey squares have to agree as well.
What is found is the same film or the same scene: clips a second apart, or of a fixed camera, are near.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinema.video import Video

NUM_FRAMES = 4
MOST_BITS = 26
"""Pairs that differ in more of the 256 bits are not near."""
LEAST_CORRELATION = 0.98
"""Pairs whose grey squares correlate less are not near."""

_FLAT_GREY = 4.0
_BLOCK = 4
_ROWS = 512


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """What a video looks like: bits uint8 [256], each 0 or 1, and grey squares float32 [4 8 9]."""

    bits: NDArray[np.uint8]
    squares: NDArray[np.float32]

    @property
    def is_flat(self) -> bool:
        """Whether there is too little to see for a comparison to mean anything (a black film)."""
        return bool(self.squares.std(axis=(1, 2)).max() < _FLAT_GREY)


def look_at(video: Video) -> Looks:
    """Decode four frames, small, and hash them.

    Raises:
        UnreadableVideo: one of them cannot be decoded.
    """
    places = ((np.arange(NUM_FRAMES) + 0.5) / NUM_FRAMES * video.info.num_frames).astype(np.int64)
    frames = video.frames_at(places, (8 * _BLOCK, 9 * _BLOCK))
    grey = frames.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    squares = grey.reshape(NUM_FRAMES, 8, _BLOCK, 9, _BLOCK).mean(axis=(2, 4), dtype=np.float32)
    bits = (squares[:, :, :-1] > squares[:, :, 1:]).astype(np.uint8).reshape(-1)
    return Looks(bits, squares)


def near_pairs(looks: Sequence[Looks], sides: Sequence[object]) -> list[tuple[int, int, int]]:
    """Pairs that look alike and stand on different sides, or both on none.

    Args:
        looks: one a video.
        sides: the part of each, or None.

    Returns:
        first index, second index, differing bits; the nearest first.
    """
    seen = [index for index, look in enumerate(looks) if not look.is_flat]
    if len(seen) < 2:
        return []
    bits = np.stack([looks[index].bits for index in seen]).astype(np.float32)
    ones = bits.sum(axis=1)
    found = []
    for start in range(0, len(seen), _ROWS):
        rows = bits[start : start + _ROWS]
        distance = ones[start : start + _ROWS, None] + ones[None] - 2 * rows @ bits.T
        for row, column in np.argwhere(distance <= MOST_BITS):
            a, b = seen[start + row], seen[column]
            apart = sides[a] != sides[b] or sides[a] is None
            if a < b and apart and _correlation(looks[a], looks[b]) >= LEAST_CORRELATION:
                found.append((a, b, round(float(distance[row, column]))))
    return sorted(found, key=lambda pair: pair[2])


def _correlation(one: Looks, other: Looks) -> float:
    """Of the grey squares of two videos, -1 to 1: brightness and contrast do not count."""
    return float(np.corrcoef(one.squares.reshape(-1), other.squares.reshape(-1))[0, 1])
