"""Pictures that stand in for those left out on purpose: the last one at or before each that is wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import av
import numpy as np
from numpy.typing import NDArray


def stand_ins(
    wanted: NDArray[np.int64], pictures: Iterable[tuple[int, av.VideoFrame]]
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Those of the pictures that are the last one at or before some frame that is wanted; all in order, numbers first."""
    held: tuple[int, av.VideoFrame] | None = None
    for index, picture in pictures:
        if held is not None and _any_between(wanted, held[0], index):
            yield held
        held = index, picture
    if held is not None and _any_between(wanted, held[0], int(wanted[-1]) + 1):
        yield held


def _any_between(wanted: NDArray[np.int64], first: int, end: int) -> bool:
    place = int(np.searchsorted(wanted, first))
    return place < len(wanted) and int(wanted[place]) < end
