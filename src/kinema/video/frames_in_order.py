"""Put the frames of a damaged part of a video in order."""

from __future__ import annotations

import itertools
from bisect import insort
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from typing import TypeVar

import av

from kinema.video.packets import MAX_REORDERED, IndexSet

T = TypeVar("T")
Numbered = tuple[int, av.VideoFrame]
"""A frame and its number."""
Convert = Callable[[int, av.VideoFrame], T]
"""Makes of a decoded frame and its number what is asked for; the frame's memory is given back to the decoder afterwards."""


def frames_in_order(
    batches: Iterable[list[Numbered]], wanted: IndexSet, convert: Convert[T]
) -> Iterator[tuple[int, T, bool]]:
    """Yield number, converted frame, and whether FFmpeg marks it as corrupt; each number once, none that comes too late.

    Frames are converted at once, and those that are not wanted are dropped at once: which frames are wanted then does not
    change what memory the decoder uses next.

    Args:
        batches: numbers and frames as the decoder outputs them.
        wanted: the frames to yield.
        convert: makes of a number and a frame what is yielded.
    """
    waiting: list[tuple[int, T, bool]] = []
    numbers: list[int] = []  # of frames that are held back, wanted or not
    following = 0
    for frames in itertools.chain(batches, [None]):
        for index, frame in frames or []:
            if index >= following and index not in numbers:
                insort(numbers, index)
                if index in wanted:
                    insort(waiting, (index, convert(index, frame), frame.is_corrupt), key=itemgetter(0))
        while len(numbers) > (0 if frames is None else MAX_REORDERED):
            following = numbers.pop(0) + 1
            if waiting and waiting[0][0] < following:
                yield waiting.pop(0)
