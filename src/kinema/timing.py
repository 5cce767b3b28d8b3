"""Time measurement: warm-up, repetition, and all single times. Imports no torch."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Collection, Iterable

_MIN_CALLS = 5
_WARM_UP_CALLS = 2


def times_s(call: Callable[[], object], seconds: float, clock: Callable[[], float] = time.perf_counter) -> list[float]:
    """Times of repeated calls: at least five, after two that are not counted.

    Args:
        call: must return only when its work is done; on a GPU it has to synchronise.
        seconds: calls are repeated until their times add up to this.
        clock: returns seconds.
    """
    for _ in range(_WARM_UP_CALLS):
        call()
    taken: list[float] = []
    while sum(taken) < seconds or len(taken) < _MIN_CALLS:
        started = clock()
        call()
        taken.append(clock() - started)
    return taken


def median_s(taken: Collection[float]) -> float:
    """The median of `times_s`."""
    return statistics.median(taken)


def items_per_s(
    source: Callable[[], Iterable[object]], seconds: float, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Items per second of a source, which is read again and again until the time is over.

    Args:
        source: opens the source.
        seconds: the time; the last reading may end before its last item.
        clock: returns seconds.
    """
    count, started = 0, clock()
    while True:
        before = count
        for _ in source():
            count += 1
            if clock() - started >= seconds:
                return count / (clock() - started)
        if count == before:  # an empty source would never end
            return 0.0
