"""Find out which clips are complete as the frames of a video arrive, and which frames no later clip needs: no pixels here.

A frame that does not arrive, because it is damaged or skipped on purpose, is replaced by the nearest earlier frame that
arrived, or else by the first frame that arrived. With the clips `0 2 4` and `4 6 8`, the first clip is complete when frame 4
arrives; frames 0 and 2 are not needed any more then.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class CompleteClip(NamedTuple):
    """A clip by its row in the plan, and the numbers of the frames that make it, [t]."""

    row: int
    frames: list[int]


class ClipCompletion:
    """Follows the frames of a video.

    Args:
        frames: the planned frame numbers of each clip, [clips t].

    Attributes:
        kept: numbers of the frames that arrived and that an incomplete clip may need, ascending.
    """

    def __init__(self, frames: NDArray[np.int64]) -> None:
        self.kept: list[int] = []
        last = frames.max(axis=1)
        order = np.argsort(last, kind="stable")  # clips are completed in the order of their last frames
        self._frames, self._order, self._last = frames, order, last[order]
        # The first frame that a clip or any clip after it needs; frames before it can be dropped.
        self._needed = np.minimum.accumulate(frames.min(axis=1)[order][::-1])[::-1]
        self._next = 0

    def add(self, number: int) -> Iterator[CompleteClip]:
        """Add a frame that arrived and yield the clips that it completes; numbers ascend."""
        self.kept.append(number)
        while self._next < len(self._order) and self._last[self._next] <= number:
            yield self._complete()

    def finish(self) -> Iterator[CompleteClip]:
        """Yield all other clips, because no more frames will arrive."""
        while self._next < len(self._order):
            yield self._complete()

    def _complete(self) -> CompleteClip:
        clip = int(self._order[self._next])
        arrived = np.array(self.kept)
        places = np.searchsorted(arrived, self._frames[clip], side="right") - 1
        self._next += 1
        if self._next < len(self._order):
            # Keep the last frame at or before the first needed one: it replaces that frame if it does not arrive.
            del self.kept[: max(bisect_right(self.kept, self._needed[self._next]) - 1, 0)]
        return CompleteClip(clip, arrived[np.maximum(places, 0)].tolist())
