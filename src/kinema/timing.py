"""How long something takes: warmed up, repeated, every time kept. No torch here."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Collection, Iterable, Sequence

_LEAST = 5
_WARM_UP = 2


def times_s(call: Callable[[], object], seconds: float, clock: Callable[[], float] = time.perf_counter) -> list[float]:
    """Call again and again for some time, at least five times, after two calls that do not count.

    Args:
        call: is over when its work is done; on a GPU it has to wait for it.
        seconds: how long to go on.
        clock: gives seconds.
    """
    for _ in range(_WARM_UP):
        call()
    taken: list[float] = []
    while sum(taken) < seconds or len(taken) < _LEAST:
        started = clock()
        call()
        taken.append(clock() - started)
    return taken


def fastest_s(calls: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """The fastest of some times of each call, taken in turn after one that does not count."""
    taken: list[list[float]] = [[] for _ in calls]
    for repeat in range(repeats + 1):
        for call, times in zip(calls, taken, strict=True):
            started = time.perf_counter()
            call()
            if repeat:
                times.append(time.perf_counter() - started)
    return [min(times) for times in taken]


def median_s(taken: Collection[float]) -> float:
    """The median of `times_s`."""
    return statistics.median(taken)


def items_per_s(
    source: Callable[[], Iterable[object]], seconds: float, clock: Callable[[], float] = time.perf_counter
) -> float:
    """How many items a second a source gives; it is read again from its beginning until the time is over.

    Args:
        source: opens it.
        seconds: how long to go on; a source that has begun is left in its middle then.
        clock: gives seconds.
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
