"""From scores over time to actions with a start and an end.

Each prediction stands for the time around its centre, up to midway to its neighbours; the first begins and the last
ends with its clip. Neighbours with the same best label become one segment. Segments are half-open and never overlap.
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


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentOptions:
    """What counts as a segment.

    Args:
        min_duration_s: shorter ones go to the neighbour whose label fits them better, or away where they stand alone.
        min_score: times whose best score is lower belong to no segment.
        max_gap_s: two segments of one label with less than this between them become one.
    """

    min_duration_s: float = 0.0
    min_score: float = 0.0
    max_gap_s: float = 0.0


@dataclass(slots=True)
class _Run:
    """Rows [first, end) of a timeline that carry one label."""

    first: int
    end: int
    label: int
    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        return self.end_s - self.start_s


def merge_segments(timeline: Timeline, options: SegmentOptions | None = None) -> tuple[Segment, ...]:
    """The segments of a timeline, in order of time; the score is the mean of the label's scores in it."""
    options = options or SegmentOptions()
    if not len(timeline):
        return ()
    runs = _absorb(_runs(timeline, options.min_score), timeline.scores, options.min_duration_s)
    runs = _close_gaps(runs, options.max_gap_s)
    return tuple(_segment(run, timeline) for run in runs if run.duration_s >= options.min_duration_s)


def _runs(timeline: Timeline, min_score: float) -> list[_Run]:
    runs: list[_Run] = []
    labels = timeline.scores.argmax(axis=1)
    for row, (start_s, end_s) in enumerate(timeline.cells_s.tolist()):
        label = int(labels[row])
        if timeline.scores[row, label] < min_score or end_s <= start_s:
            continue
        if runs and runs[-1].label == label and runs[-1].end_s >= start_s:
            runs[-1].end, runs[-1].end_s = row + 1, end_s
        else:
            runs.append(_Run(row, row + 1, label, start_s, end_s))
    return runs


def _absorb(runs: list[_Run], scores: NDArray[np.float32], min_duration_s: float) -> list[_Run]:
    """Give segments that are too short to the neighbours they touch, the shortest first."""
    kept: list[_Run | None] = [None, *runs, None]
    before, after = list(range(-1, len(kept) - 1)), list(range(1, len(kept) + 1))

    def leave(place: int) -> None:
        kept[place] = None
        after[before[place]], before[after[place]] = after[place], before[place]

    queue = [(run.duration_s, place) for place, run in enumerate(runs, 1)]
    heapq.heapify(queue)
    while queue and queue[0][0] < min_duration_s:
        duration_s, place = heapq.heappop(queue)
        run = kept[place]
        if run is None or run.duration_s != duration_s:
            continue  # it has joined another since
        near = {at: other for at in (before[place], after[place]) if (other := kept[at]) and _touch(other, run)}
        if not near:
            leave(place)
            continue
        run.label = max(near.values(), key=lambda other: float(scores[run.first : run.end, other.label].mean())).label
        for at, other in near.items():
            if other.label == run.label:
                run.first, run.end = min(run.first, other.first), max(run.end, other.end)
                run.start_s, run.end_s = min(run.start_s, other.start_s), max(run.end_s, other.end_s)
                leave(at)
        heapq.heappush(queue, (run.duration_s, place))
    return [run for run in kept if run]


def _touch(one: _Run, other: _Run) -> bool:
    return one.end_s == other.start_s or other.end_s == one.start_s


def _close_gaps(runs: list[_Run], max_gap_s: float) -> list[_Run]:
    return _joined(runs, max_gap_s) if max_gap_s > 0 else runs


def _joined(runs: list[_Run], max_gap_s: float) -> list[_Run]:
    """Neighbours of one label as one run."""
    joined: list[_Run] = []
    for run in runs:
        last = joined[-1] if joined else None
        if last and last.label == run.label and run.start_s - last.end_s <= max_gap_s:
            last.end, last.end_s = run.end, run.end_s
        else:
            joined.append(run)
    return joined


def _segment(run: _Run, timeline: Timeline) -> Segment:
    score = float(timeline.scores[run.first : run.end, run.label].mean())
    return Segment(TimeSpan(run.start_s, run.end_s), timeline.labels[run.label], score)
