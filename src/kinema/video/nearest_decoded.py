"""Choose, for each requested frame, the nearest decoded frame at or before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import av
import numpy as np
from numpy.typing import NDArray


def nearest_decoded(
    requested: NDArray[np.int64], decoded: Iterable[tuple[int, av.VideoFrame]]
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yield those decoded frames that are the last one at or before some requested frame.

    Args:
        requested: frame numbers, ascending.
        decoded: number and frame, in display order.
    """
    # Which requested frames a decoded frame serves is known only when the next one arrives, so that one is held back.
    held: tuple[int, av.VideoFrame] | None = None
    for index, frame in decoded:
        if held is not None and _any_between(requested, held[0], index):
            yield held
        held = index, frame
    if held is not None and _any_between(requested, held[0], int(requested[-1]) + 1):
        yield held


def _any_between(numbers: NDArray[np.int64], first: int, end: int) -> bool:
    place = int(np.searchsorted(numbers, first))
    return place < len(numbers) and int(numbers[place]) < end
