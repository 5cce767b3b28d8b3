"""Choose how segments are made from scores, on videos whose true segments are known.

The search is deterministic. Lengths that it tries are shares of the median length of true segments, and thresholds are quantiles
of the scores, so that it needs no settings of its own. Of a grid of settings, it takes those with the highest mean of the measure
over them and their neighbours: on tens of videos, the single highest value is often luck, while the middle of a good region stays
good on other videos. Where a further step brings nothing, the simpler setting stays. Transitions
between labels are learned from the truth; while settings are compared, those for a video are learned from other videos alone
(cross-validation by group), because transitions of the same video would always look good.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Protocol

import numpy as np

from kinema.errors import DataError
from kinema.localization.grouping import GroupingMethod, GroupingOptions, GroupingOrigin, ScoreKind, group_smoothed
from kinema.localization.segments import NOTHING
from kinema.localization.smoothing import gaussian_average

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.predictions import Segment, Timeline

log = logging.getLogger("kinema")

Videos = Mapping[str, Sequence["Segment"]]
Matrix = tuple[tuple[float, ...], ...]

_WIDTHS = (0.0, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Of the Gaussian, in median lengths of true segments."""
_COSTS = (1 / 16, 1 / 8, 0.18, 1 / 4, 0.35, 1 / 2, 0.7, 1.0)
"""Of a change of label, in what a segment of median length gains by scores that are one standard deviation higher."""
_LENGTHS = (1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Shortest segment and largest gap, in median lengths."""
_LEARNED = (0.0, 0.5, 0.75, 1.0)
"""Share of learned costs in the cost of a change."""
_RATES = (0.25, 0.5, 0.75, 1.0, 1.5)
"""Time above a threshold, in shares of the time that the class truly has."""
_LEVELS = ((0.5,), (0.7,), (0.3, 0.5, 0.7), (0.1, 0.3, 0.5, 0.7, 0.9))
_OVERLAPS = (0.7, 0.5, 0.3, 0.1)
_FOLDS = 5
_PRIOR = 0.3
"""How many changes the frequency of labels counts beside those that were seen, a label."""


class Measure(Protocol):
    """A figure to raise, such as those of `kinema.evaluation.located.measures`."""

    __name__: str

    def __call__(self, truth: Videos, answers: Videos, /) -> float:
        """The figure of answers by video."""


def choose_grouping(
    timelines: Mapping[str, Timeline],
    truth: Videos,
    measure: Measure,
    *,
    background: Sequence[str] = (),
    groups: Mapping[str, str] | None = None,
) -> GroupingOptions:
    """The settings that reach the highest measure on videos with truth, such as a training part.

    Args:
        timelines: scores of each video.
        truth: true segments of each video; a video without any is normal.
        measure: the figure to raise.
        background: labels that are never answered.
        groups: the source of each video; without them, neighbours in the order of names are taken for one source.

    Returns:
        Settings, whose `origin` says what they reach beside plain argmax; this is logged too.

    Raises:
        DataError: no video has a timeline and a true segment.
    """
    tracks = {name: track for name, track in sorted(timelines.items()) if name in truth and len(track)}
    known = {
        name: [segment for segment in truth[name] if segment.label not in background] for name in tracks
    }  # fmt: skip
    if not any(known.values()):
        do = "choose settings on videos with true segments"
        raise DataError("there is no true segment to choose by", ", ".join(list(timelines)[:3]), do)
    search = _Search(tracks, known, measure, tuple(background), _folds(list(tracks), groups or {}))
    plain = _Trial(GroupingOptions(scores=score_kind(tracks.values()), background=tuple(background)))
    start = search.reach(plain), plain
    candidates = [search.exclusive(start), *(search.independent(plain, method) for method in _INDEPENDENT)]
    reached, chosen = max(candidates, key=lambda found: found[0])
    origin = GroupingOrigin(measure.__name__, len(tracks), reached, start[0], search.num_tried)
    log.info("segments by %s: %s", chosen.options.method, origin)
    return replace(chosen.options, transitions=search.transitions(chosen.learned), origin=origin)


def score_kind(timelines: Iterable[Timeline]) -> ScoreKind:
    """What the scores of timelines are: probabilities with a sum of 1, other probabilities, or any numbers."""
    tracks = list(timelines)
    if any(track.raw.min() < 0 or track.raw.max() > 1 for track in tracks):
        return "margin"
    sums = np.concatenate([track.raw.sum(axis=1) for track in tracks])
    return "softmax" if np.allclose(sums, 1, atol=0.01) else "sigmoid"


@dataclass(frozen=True, slots=True)
class _Trial:
    """Settings, and the share of learned costs, whose matrix depends on the video."""

    options: GroupingOptions
    learned: float = 0.0


_Found = tuple[float, _Trial]
_INDEPENDENT: tuple[GroupingMethod, ...] = ("hysteresis", "watershed")


class _Search:
    def __init__(
        self,
        tracks: Mapping[str, Timeline],
        truth: Videos,
        measure: Measure,
        background: Sequence[str],
        folds: Mapping[str, int],
    ) -> None:
        self.tracks, self.truth, self.measure, self.folds = tracks, truth, measure, folds
        self.labels = next(iter(tracks.values())).labels
        self.num_tried = 0
        self.length_s = float(np.median([s.span.duration_s for segments in truth.values() for s in segments]))
        self.rows = {name: _true_rows(track, truth[name], background) for name, track in tracks.items()}
        self._smoothed: dict[float, dict[str, NDArray[np.float64]]] = {}
        self._transitions: dict[tuple[float, int | None], Matrix] = {}

    def best(self, trials: Iterable[_Trial], start: _Found) -> _Found:
        """The first of the trials with the highest measure, or the start if none is better."""
        best = start
        for trial in trials:
            reached = self.reach(trial)
            if reached > best[0] + 1e-9:
                best = reached, trial
        return best

    def best_of_grid(self, trials: Mapping[tuple[int, ...], _Trial]) -> _Found:
        """The trial with the highest mean of the measure over it and its neighbours, by the places in the grid."""
        reached = {place: self.reach(trial) for place, trial in trials.items()}

        def around(place: tuple[int, ...]) -> float:
            near = product(*((axis - 1, axis, axis + 1) for axis in place))
            return round(float(np.mean([reached[other] for other in near if other in reached])), 9)

        best = max(trials, key=around)
        return reached[best], trials[best]

    def reach(self, trial: _Trial) -> float:
        """The measure of these settings."""
        self.num_tried += 1
        scores, answers = self.smoothed(trial.options.smoothing_s), {}
        for name, track in self.tracks.items():
            options = replace(trial.options, transitions=self.transitions(trial.learned, self.folds[name]))
            answers[name] = group_smoothed(scores[name], track, options)
        return self.measure(self.truth, answers)

    def smoothed(self, width_s: float) -> dict[str, NDArray[np.float64]]:
        """The smoothed scores of each video."""
        if width_s not in self._smoothed:
            self._smoothed[width_s] = {
                name: gaussian_average(track.raw, track.times_s, width_s) for name, track in self.tracks.items()
            }
        return self._smoothed[width_s]

    def transitions(self, learned: float, fold: int | None = None) -> Matrix:
        """Factors of the cost of a change, learned on all videos but those of a fold."""
        if not learned:
            return ()
        if (learned, fold) not in self._transitions:
            rows = [self.rows[name] for name in self.tracks if self.folds[name] != fold]
            self._transitions[learned, fold] = change_factors(rows, len(self.labels), learned)
        return self._transitions[learned, fold]

    def exclusive(self, start: _Found) -> _Found:
        """The best settings with `argmax` or `viterbi`."""
        plain = start[1].options
        gains = np.concatenate(list(self.smoothed(0).values()))
        spread = float((gains if plain.scores == "margin" else np.log(np.maximum(gains, 1e-4))).std())
        unit = spread * self.length_s
        widths = [share * self.length_s for share in _WIDTHS]
        argmax = self.best((_Trial(replace(plain, smoothing_s=width)) for width in widths), start)
        axes = list(enumerate(_LEARNED)), list(enumerate(widths)), list(enumerate(_COSTS))
        viterbi: dict[tuple[int, ...], _Trial] = {
            (i, j, k): _Trial(replace(plain, method="viterbi", smoothing_s=width, change_cost=cost * unit), learned)
            for (i, learned), (j, width), (k, cost) in product(*axes)
        }
        best = max(argmax, self.best_of_grid(viterbi), key=lambda found: found[0])
        return self._refine(self.best(self._floors(best[1]), best))

    def _floors(self, trial: _Trial) -> Iterator[_Trial]:
        """Least scores, where the truth has times of no label."""
        empty = float(np.mean(np.concatenate(list(self.rows.values())) == NOTHING))
        if empty > 0.01:
            scores = np.concatenate(list(self.smoothed(trial.options.smoothing_s).values())).max(axis=1)
            for floor in np.quantile(scores, np.minimum(np.array(_RATES) * empty, 1)).tolist():
                yield replace(trial, options=replace(trial.options, least_score=floor))

    def independent(self, plain: _Trial, method: GroupingMethod) -> _Found:
        """The best settings with `hysteresis` or `watershed`."""
        hysteresis = method == "hysteresis"
        pairs = [(i, j) for i, j in product(range(len(_RATES)), repeat=2) if i <= j]
        trials: dict[tuple[int, ...], _Trial] = {}
        for place, width in enumerate(share * self.length_s for share in _WIDTHS):
            start, thresholds = replace(plain.options, method=method, smoothing_s=width), self._thresholds(width)
            for i, j in pairs if hysteresis else product(range(len(_RATES)), range(len(_LEVELS))):
                enter, leave = _RATES[i], _RATES[j] if hysteresis else _RATES[-1]
                by_class = {label: (rates[enter], rates[leave]) for label, rates in thresholds.items()}
                levels = (0.0,) if hysteresis else _LEVELS[j]
                trials[place, i, j] = _Trial(replace(start, by_class=by_class, levels=levels))
        return self._refine(self.best_of_grid(trials))

    def _thresholds(self, width_s: float) -> dict[str, dict[float, float]]:
        """For each label with truth, the scores that it exceeds for given shares of its true time."""
        scores = np.concatenate(list(self.smoothed(width_s).values()))
        rows = np.concatenate(list(self.rows.values()))
        found = {}
        for column, label in enumerate(self.labels):
            shares = 1 - np.minimum(np.array(_RATES) * np.mean(rows == column), 1)
            found[label] = dict(zip(_RATES, np.quantile(scores[:, column], shares).tolist(), strict=True))
        return found

    def _refine(self, best: _Found) -> _Found:
        """Try shortest segments, gaps, and non-maximum suppression, one after another."""
        lengths = [share * self.length_s for share in _LENGTHS]
        tiou = _OVERLAPS if best[1].options.method == "watershed" and len(best[1].options.levels) > 1 else ()

        def each(change: Callable[[GroupingOptions, float], GroupingOptions], values: Sequence[float]) -> _Found:
            trial = best[1]
            return self.best((replace(trial, options=change(trial.options, value)) for value in values), best)

        best = each(lambda options, value: replace(options, largest_gap_s=value), lengths)
        best = each(lambda options, value: replace(options, shortest_s=value), lengths)
        return each(lambda options, value: replace(options, nms_tiou=value), tiou)


def change_factors(rows: Sequence[NDArray[np.int64]], num_classes: int, learned: float) -> Matrix:
    """Factors of the cost of a change of label [from to], learned from the true labels of times.

    A factor is the negative logarithm of the share of changes from one label that go to the other, in units of its mean over
    the changes that were seen, so that a usual change has a factor of about 1.

    Args:
        rows: the true labels of each video over time, as numbers; `NOTHING` stands for no label.
        num_classes: number of labels.
        learned: from 0, where all factors are 1, to 1.
    """
    counts = np.zeros((num_classes, num_classes))
    for labels in rows:
        named = labels[labels != NOTHING]
        changed = named[:-1] != named[1:]
        np.add.at(counts, (named[:-1][changed], named[1:][changed]), 1)
    frequency = counts.sum(axis=0) + _PRIOR
    expected = _PRIOR * num_classes * frequency / frequency.sum()
    costs = -np.log((counts + expected) / (counts.sum(axis=1, keepdims=True) + _PRIOR * num_classes))
    mean = float((costs * counts).sum() / counts.sum()) if counts.any() else 0.0
    factors = 1 - learned + learned * costs / mean if mean > 0 else np.ones_like(costs)
    return tuple(tuple(round(value, 4) for value in row) for row in factors.tolist())


def _true_rows(track: Timeline, truth: Sequence[Segment], background: Sequence[str]) -> NDArray[np.int64]:
    """The true label of each time of a timeline; the first background label or `NOTHING` where there is none."""
    silent = [track.labels.index(label) for label in background if label in track.labels]
    rows = np.full(len(track), silent[0] if silent else NOTHING, np.int64)
    middle = track.cells_s.mean(axis=1)
    for segment in truth:
        if segment.label in track.labels:
            inside = (middle >= segment.span.start_s) & (middle < segment.span.end_s)
            rows[inside] = track.labels.index(segment.label)
    return rows


def _folds(names: Sequence[str], groups: Mapping[str, str]) -> dict[str, int]:
    """The fold of each video: videos of one group, or neighbours in the order of names, are in one fold."""
    sources = {group: place for place, group in enumerate(dict.fromkeys(groups.get(name, name) for name in names))}
    number = min(_FOLDS, len(sources))
    return {name: sources[groups.get(name, name)] * number // len(sources) for name in names}
