"""Which clips are complete as the frames of a film arrive, and which frames nobody needs any more: arithmetic, no pixels.

A frame that does not arrive, because it is damaged or left out on purpose, is replaced by the nearest before it that
did; before the first, by the first. With clips `0 2 4` and `4 6 8` the first is complete when 4 arrives; 0 and 2 can be
forgotten then.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Arrivals:
    """Follows the frames of a film.

    Args:
        frames: the frame numbers of each clip, [clips t].

    Attributes:
        kept: numbers of the frames that arrived and that a clip still to come may need, ascending.
    """

    def __init__(self, frames: NDArray[np.int64]) -> None:
        self.kept: list[int] = []
        last = frames.max(axis=1)
        order = np.argsort(last, kind="stable")
        self._frames, self._order, self._last = frames, order, last[order]
        self._needed = np.minimum.accumulate(frames.min(axis=1)[order][::-1])[::-1]
        self._place = 0

    def add(self, number: int) -> Iterator[tuple[int, list[int]]]:
        """A frame has arrived; numbers ascend.

        Yields:
            each clip that is complete now, and the frames that make it, [t].
        """
        self.kept.append(number)
        while self._place < len(self._order) and self._last[self._place] <= number:
            yield self._complete()

    def rest(self) -> Iterator[tuple[int, list[int]]]:
        """No frame will come any more; yields the clips that are left, like `add`."""
        while self._place < len(self._order):
            yield self._complete()

    def _complete(self) -> tuple[int, list[int]]:
        clip = int(self._order[self._place])
        there = np.array(self.kept)
        places = np.searchsorted(there, self._frames[clip], side="right") - 1
        self._place += 1
        if self._place < len(self._order):
            del self.kept[: max(bisect_right(self.kept, self._needed[self._place]) - 1, 0)]
        return clip, there[np.maximum(places, 0)].tolist()
