"""Segments (actions with start and end) from scores over time.

Each prediction stands for the time around its centre, up to the midpoints between it and its neighbours; the first one starts and
the last one ends with its clip. Neighbours with the same best label form one segment. Segments are half-open and never overlap.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinema.predictions import Segment
from kinema.types import TimeSpan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.predictions import Timeline

NOTHING = -1
"""In place of the index of a label: no label."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentOptions:
    """How segments are formed.

    Args:
        min_duration_s: shorter segments get the label of the better fitting neighbour, or are removed if they have none.
        min_score: predictions whose best score is lower belong to no segment.
        max_gap_s: segments of one label with a gap of at most this are joined.
    """

    min_duration_s: float = 0.0
    min_score: float = 0.0
    max_gap_s: float = 0.0


@dataclass(slots=True)
class Run:
    """Rows [first, end) of a timeline that have one label, by its index."""

    first: int
    end: int
    label: int
    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s

    def touches(self, other: Run) -> bool:
        """Whether one begins where the other one ends."""
        return self.end_s == other.start_s or other.end_s == self.start_s


def merge_segments(timeline: Timeline, options: SegmentOptions | None = None) -> tuple[Segment, ...]:
    """The segments of a timeline, in order of time; the score is the mean of the label's scores in it."""
    options = options or SegmentOptions()
    if not len(timeline):
        return ()
    sure = timeline.scores.max(axis=1) >= options.min_score
    runs = find_runs(np.where(sure, timeline.scores.argmax(axis=1), NOTHING), timeline.cells_s)
    runs = join_runs(absorb_short(runs, timeline.scores, options.min_duration_s), options.max_gap_s)

    def segment(run: Run) -> Segment:
        score = float(timeline.scores[run.first : run.end, run.label].mean())
        return Segment(TimeSpan(run.start_s, run.end_s), timeline.labels[run.label], score)

    return tuple(segment(run) for run in runs if run.duration_s >= options.min_duration_s)


def find_runs(labels: NDArray[np.int64], cells_s: NDArray[np.float64]) -> list[Run]:
    """Runs of one label.

    Args:
        labels: the label of each row [n], or `NOTHING`.
        cells_s: the time that each row stands for [n 2]; rows without a duration are left out.
    """
    runs: list[Run] = []
    for row, (label, (start_s, end_s)) in enumerate(zip(labels.tolist(), cells_s.tolist(), strict=True)):
        if label == NOTHING or end_s <= start_s:
            continue
        if runs and runs[-1].label == label and runs[-1].end_s >= start_s:
            runs[-1].end, runs[-1].end_s = row + 1, end_s
        else:
            runs.append(Run(row, row + 1, label, start_s, end_s))
    return runs


def join_runs(runs: list[Run], max_gap_s: float) -> list[Run]:
    """Join neighbours in the list that have one label and at most `max_gap_s` seconds between them; 0 joins none."""
    joined: list[Run] = []
    for run in runs:
        last = joined[-1] if joined else None
        gap_s = run.start_s - last.end_s if last and last.label == run.label else np.inf
        if last and max_gap_s > 0 and gap_s <= max_gap_s:
            last.end, last.end_s = run.end, run.end_s
        else:
            joined.append(run)
    return joined


def absorb_short(
    runs: list[Run], scores: NDArray[np.float32] | NDArray[np.float64], min_duration_s: float
) -> list[Run]:
    """Give short runs the label of a neighbour that they touch, the shortest run first.

    A linked list (`before`, `after`) and a heap keep this at O(n log n), so that hours of frame-wise labels take seconds.
    """
    kept: list[Run | None] = [None, *runs, None]
    before, after = list(range(-1, len(kept) - 1)), list(range(1, len(kept) + 1))

    def remove(place: int) -> None:
        kept[place] = None
        after[before[place]], before[after[place]] = after[place], before[place]

    queue = [(run.duration_s, place) for place, run in enumerate(runs, 1)]
    heapq.heapify(queue)
    while queue and queue[0][0] < min_duration_s:
        duration_s, place = heapq.heappop(queue)
        run = kept[place]
        if run is None or run.duration_s != duration_s:
            continue  # an outdated entry: the run was merged into another one, or has grown
        near = {at: other for at in (before[place], after[place]) if (other := kept[at]) and other.touches(run)}
        if not near:
            remove(place)
            continue
        run.label = max(near.values(), key=lambda other: float(scores[run.first : run.end, other.label].mean())).label
        for at, other in near.items():
            if other.label == run.label:
                run.first, run.end = min(run.first, other.first), max(run.end, other.end)
                run.start_s, run.end_s = min(run.start_s, other.start_s), max(run.end_s, other.end_s)
                remove(at)
        heapq.heappush(queue, (run.duration_s, place))
    return [run for run in kept if run]
