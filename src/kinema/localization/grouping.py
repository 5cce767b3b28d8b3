"""Segments from the dense scores of any classifier: smoothing, grouping, gaps, short segments, non-maximum suppression.

Two methods let classes exclude each other, so that segments never overlap:

- `argmax`: each time has the label with the highest score.
- `viterbi`: the sequence of labels with the largest sum of scores over time, minus a cost for each change of label (Viterbi
  1967). Costs may depend on the pair of labels, because some actions follow others more often (learned from true segments).

Two decide for each class on its own, so that segments of different classes may overlap:

- `hysteresis`: a segment begins and ends where the score crosses `leave`, and needs a score of at least `enter` in it.
- `watershed`: a segment is what lies around a peak above a share of its height, so that two peaks with a valley between them are
  two segments, and low peaks have segments too (in the manner of Zhao et al. 2017). Each level of `levels` gives a segment.

In all of them a time may belong to no segment: below `least_score`, below `leave`, or where a background class is best.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from kinema.localization.borders import refine_exclusive, refine_levels
from kinema.localization.segments import NOTHING, Run, absorb_short, find_runs, join_runs
from kinema.localization.smoothing import gaussian_average
from kinema.predictions import Segment
from kinema.types import TimeSpan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.predictions import Timeline

GroupingMethod = Literal["argmax", "viterbi", "hysteresis", "watershed"]
ScoreKind = Literal["softmax", "sigmoid", "margin"]

_LEAST_PROBABILITY = 1e-4
"""Lower probabilities count as this one in a sum of logarithms, so that one sure mistake cannot outweigh seconds."""


@dataclass(frozen=True, slots=True)
class GroupingOrigin:
    """What settings were chosen on, and what they reach there beside plain argmax.

    Args:
        measure: its name.
        num_videos: videos with truth.
        reached: the measure with these settings.
        plain: the measure of the best label at each time.
        num_tried: settings that were compared.
    """

    measure: str
    num_videos: int
    reached: float
    plain: float
    num_tried: int

    def __str__(self) -> str:
        return f"{self.measure} {self.reached:.3f} (plain argmax {self.plain:.3f}) on {self.num_videos} videos"


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupingOptions:
    """How segments are made from scores over time. Times are in seconds, whatever the distance of the predictions.

    Args:
        method: see the head of this module.
        scores: what the scores are: "softmax" (probabilities of classes that exclude each other), "sigmoid" (a probability for
            each class), or "margin" (any numbers, such as those of a support vector machine). `viterbi` sums logarithms of
            probabilities, and margins as they are.
        smoothing_s: standard deviation of a Gaussian that is centred on each time; 0 smooths nothing.
        least_score: argmax and viterbi: a time at which no class reaches this belongs to no segment; None always takes a class.
        change_cost: viterbi: the cost of a change of label, in units of the score times seconds.
        transitions: viterbi: factors of `change_cost` [from to], in the order of the labels; empty for 1.
        enter: hysteresis and watershed: least peak of a segment.
        leave: hysteresis and watershed: score at which a segment ends.
        by_class: `enter` and `leave` of single classes.
        levels: watershed: shares of the height of a peak above `leave` at which its segments end.
        shortest_s: shorter segments are removed; with argmax and viterbi they first get the label of a neighbour.
        largest_gap_s: segments of one label with a gap of at most this are joined.
        nms_tiou: of two segments of one label with at least this temporal IoU, only the better one stays.
        background: labels that are never answered.
        origin: what the settings were chosen on.

    Raises:
        ValueError: an impossible value.
    """

    method: GroupingMethod = "argmax"
    scores: ScoreKind = "softmax"
    smoothing_s: float = 0.0
    least_score: float | None = None
    change_cost: float = 0.0
    transitions: tuple[tuple[float, ...], ...] = ()
    enter: float = 0.5
    leave: float = 0.5
    by_class: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    levels: tuple[float, ...] = (0.5,)
    shortest_s: float = 0.0
    largest_gap_s: float = 0.0
    nms_tiou: float = 1.0
    background: tuple[str, ...] = ()
    origin: GroupingOrigin | None = None

    def __post_init__(self) -> None:
        if self.method not in get_args(GroupingMethod) or self.scores not in get_args(ScoreKind):
            raise ValueError(f"unknown {self.method=} or {self.scores=}")
        lengths = (self.smoothing_s, self.change_cost, self.shortest_s, self.largest_gap_s)
        if not all(math.isfinite(value) and value >= 0 for value in lengths):
            raise ValueError(f"lengths and costs are at least 0, got {lengths}")
        if not all(0 <= share <= 1 for share in (*self.levels, self.nms_tiou)) or not self.levels:
            raise ValueError(f"shares are 0 to 1, got {self.levels=}, {self.nms_tiou=}")
        for enter, leave in [(self.enter, self.leave), *self.by_class.values()]:
            if not (math.isfinite(enter) and math.isfinite(leave) and leave <= enter):
                raise ValueError(f"a segment is left at or below the score that begins it, got {enter=}, {leave=}")
        if any(len(row) != len(self.transitions) or not np.isfinite(row).all() for row in self.transitions):
            raise ValueError("transitions need a finite number for each pair of labels")

    @property
    def exclusive(self) -> bool:
        """Whether segments of different classes never overlap."""
        return self.method in ("argmax", "viterbi")

    def to_json(self) -> dict[str, object]:
        """A plain dictionary, as in model.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> GroupingOptions:
        """The inverse of `to_json`; fields of newer versions are errors, missing ones have their defaults.

        Raises:
            KeyError, TypeError, ValueError: a value is unknown or wrong.
        """
        if unknown := set(values) - {one.name for one in fields(cls)}:
            raise KeyError(min(unknown))
        read = {name: _tuples(value) for name, value in values.items()}
        if isinstance(origin := read.get("origin"), dict):
            read["origin"] = GroupingOrigin(**origin)
        if isinstance(by_class := read.get("by_class"), dict):
            read["by_class"] = {str(name): _tuples(pair) for name, pair in by_class.items()}
        return cls(**read)  # type: ignore[arg-type]


def _tuples(value: object) -> object:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def group_segments(timeline: Timeline, options: GroupingOptions, *, refine: bool = False) -> tuple[Segment, ...]:
    """Segments of a timeline, in order of time; none is a normal answer.

    Args:
        timeline: scores over time; those before the rolling average (`raw`) are used.
        options: how.
        refine: put borders where straight lines between the scores cross (`kinema.localization.borders`), not in the middle
            between two rows.

    Raises:
        ValueError: transitions are for another number of labels.
    """
    if not len(timeline):
        return ()
    scores = gaussian_average(timeline.raw, timeline.times_s, options.smoothing_s)
    return group_smoothed(scores, timeline, options, refine=refine)


def group_smoothed(
    scores: NDArray[np.float64], timeline: Timeline, options: GroupingOptions, *, refine: bool = False
) -> tuple[Segment, ...]:
    """As `group_segments`, from scores [n classes] that are smoothed already; times and labels are the timeline's."""
    group = _exclusive_runs if options.exclusive else _independent_runs
    segments = [
        Segment(TimeSpan(run.start_s, run.end_s), timeline.labels[run.label], _mean_score(scores, run))
        for run in group(scores, timeline, options, refine)
        if run.duration_s >= options.shortest_s
    ]
    kept = _suppress(segments, options.nms_tiou) if options.nms_tiou < 1 else segments
    return tuple(sorted(kept, key=lambda segment: (segment.span, -segment.score, segment.label)))


def _mean_score(scores: NDArray[np.float64], run: Run) -> float:
    return float(scores[run.first : run.end, run.label].mean())


def _exclusive_runs(
    scores: NDArray[np.float64], timeline: Timeline, options: GroupingOptions, refine: bool
) -> list[Run]:
    labels = best_labels(scores, timeline.cells_s, options)
    runs = absorb_short(find_runs(labels, timeline.cells_s), scores, options.shortest_s)
    if refine:
        refine_exclusive(runs, scores, timeline.times_s, options.least_score)
    silent = {timeline.labels.index(name) for name in options.background if name in timeline.labels}
    return join_runs([run for run in runs if run.label not in silent], options.largest_gap_s)


def best_labels(
    scores: NDArray[np.float64], cells_s: NDArray[np.float64], options: GroupingOptions
) -> NDArray[np.int64]:
    """The label of each time [n] by `argmax` or `viterbi`, or `NOTHING`.

    Args:
        scores: smoothed scores [n classes].
        cells_s: the time that each row stands for [n 2].
        options: how.

    Raises:
        ValueError: transitions are for another number of labels.
    """
    num_classes = scores.shape[1]
    if options.least_score is not None:  # one more class, "nothing", with a constant score
        scores = np.pad(scores, ((0, 0), (0, 1)), constant_values=options.least_score)
    if options.method == "argmax" or (not options.change_cost and not options.transitions):
        labels = scores.argmax(axis=1)
    else:
        gains = scores if options.scores == "margin" else np.log(np.maximum(scores, _LEAST_PROBABILITY))
        labels = _viterbi(gains * np.diff(cells_s), _costs(options, num_classes, scores.shape[1]))
    return np.where(labels < num_classes, labels, NOTHING)


def _costs(options: GroupingOptions, num_classes: int, num_states: int) -> NDArray[np.float64] | float:
    """The cost of each change [from to], or one for all."""
    if not options.transitions:
        return options.change_cost
    if len(options.transitions) != num_classes:
        raise ValueError(f"transitions are for {len(options.transitions)} labels, the scores have {num_classes}")
    factors = np.ones((num_states, num_states))
    factors[:num_classes, :num_classes] = options.transitions
    np.fill_diagonal(factors, 0)
    return options.change_cost * factors


def _viterbi(gains: NDArray[np.float64], costs: NDArray[np.float64] | float) -> NDArray[np.int64]:
    """The states [n] with the largest sum of gains [n states] minus the costs of changes."""
    num_rows, num_states = gains.shape
    every = np.arange(num_states)
    before = np.empty((num_rows, num_states), np.int32)
    total = gains[0].copy()
    for row in range(1, num_rows):
        if isinstance(costs, float):
            best = int(total.argmax())
            changed = total[best] - costs
            before[row] = np.where(total >= changed, every, best)
            total = np.maximum(total, changed) + gains[row]
        else:
            reached = total[:, None] - costs
            before[row] = reached.argmax(axis=0)
            total = reached[before[row], every] + gains[row]
    states = np.empty(num_rows, np.int64)
    states[-1] = total.argmax()
    for row in range(num_rows - 1, 0, -1):
        states[row - 1] = before[row, states[row]]
    return states


def _independent_runs(
    scores: NDArray[np.float64], timeline: Timeline, options: GroupingOptions, refine: bool
) -> list[Run]:
    cells_s, found = timeline.cells_s, []
    levels = (0.0,) if options.method == "hysteresis" else options.levels
    for column, name in enumerate(timeline.labels):
        if name in options.background:
            continue
        enter, leave = options.by_class.get(name, (options.enter, options.leave))
        for level in levels:
            spans = _around_peaks(scores[:, column], enter, leave, level)
            runs = [Run(a, b, column, float(cells_s[a, 0]), float(cells_s[b - 1, 1])) for a, b in spans]
            if refine:
                refine_levels(runs, scores[:, column], timeline.times_s, leave, level)
            found += join_runs([run for run in runs if run.duration_s > 0], options.largest_gap_s)
    return found


def _around_peaks(scores: NDArray[np.float64], enter: float, leave: float, level: float) -> list[tuple[int, int]]:
    """Rows [first, end) around each peak of at least `enter`, the highest first, down to a share of its height."""
    values = scores.tolist()
    taken = [False] * len(values)
    spans = []
    starts = np.flatnonzero(np.diff(scores, prepend=np.nan) != 0)  # equal neighbours are one peak
    padded = np.pad(scores[starts], 1, constant_values=-np.inf)
    peaks = starts[(padded[1:-1] > padded[:-2]) & (padded[1:-1] > padded[2:]) & (padded[1:-1] >= enter)]
    for peak in peaks[np.argsort(-scores[peaks], kind="stable")].tolist():
        if taken[peak]:
            continue
        least = leave + level * (values[peak] - leave)
        first, end = peak, peak + 1
        while first > 0 and not taken[first - 1] and values[first - 1] >= least:
            first -= 1
        while end < len(values) and not taken[end] and values[end] >= least:
            end += 1
        taken[first:end] = [True] * (end - first)
        spans.append((first, end))
    return sorted(spans)


def _suppress(segments: Sequence[Segment], tiou: float) -> list[Segment]:
    """Leave out segments that overlap a better one of their label by at least `tiou`."""
    kept: dict[str, list[Segment]] = {}
    for segment in sorted(segments, key=lambda one: -one.score):
        better = kept.setdefault(segment.label, [])
        if all(segment.span.iou(other.span) < tiou for other in better):
            better.append(segment)
    return [segment for group in kept.values() for segment in group]
