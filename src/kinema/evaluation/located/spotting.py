"""Average mAP of action spotting, as SoccerNet's program computes it (Giancola et al. 2018; Deliege et al. 2021).

Events are points in time. Times are rounded down to steps of 1 / `rate` s. For a tolerance of d seconds, each true event, in
order of time, takes the free answer with the highest score at most d / 2 s away (the program's window of width d). Average
precision has 200 score thresholds and 11 recall levels (PASCAL VOC 2007). The average mAP is the area under mAP over the
tolerances, divided by their range. "Visible" figures count only true events that are shown, and answers whose nearest true event
of the class is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from kinema.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCES_S: dict[str, tuple[float, ...]] = {
    "loose": tuple(range(5, 61, 5)), "tight": (1, 2, 3, 4, 5), "at1": (1,), "at2": (2,), "at3": (3,), "at4": (4,), "at5": (5,)
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SpottedEvent:
    """An event at a time of a video (for SoccerNet, of one half of a game)."""

    time_s: float
    label: str
    score: float = 1.0
    visible: bool = True


@dataclass(frozen=True, slots=True)
class SpottingScores:
    """Average mAP by class, over all true events and over the visible ones."""

    classes: tuple[str, ...]
    by_class: tuple[float, ...]
    by_class_visible: tuple[float, ...]

    @property
    def average_map(self) -> float:
        """Mean over classes."""
        return float(np.mean(self.by_class))

    @property
    def average_map_visible(self) -> float:
        """Mean over classes, of the visible events."""
        return float(np.mean(self.by_class_visible))


def spotting_map(
    truth: Mapping[str, Sequence[SpottedEvent]],
    predictions: Mapping[str, Sequence[SpottedEvent]],
    tolerances_s: Sequence[float] = TOLERANCES_S["loose"],
    *,
    classes: Sequence[str] = (),
    rate: float = 2.0,
) -> SpottingScores:
    """Average mAP of spotted events.

    Args:
        truth: true events of each video.
        predictions: answers of each video; of several of one class in one step, the last counts.
        tolerances_s: widths of the windows, ascending.
        classes: classes in order; empty takes those of the truth. A class without true events has 0, as in the program.
        rate: steps a second.

    Raises:
        DataError: there is no true event.
    """
    classes = tuple(classes) or tuple(sorted({event.label for events in truth.values() for event in events}))
    if not any(truth.values()):
        raise DataError("there is no true event to compare with", "", "check the part and the file of the truth")
    sides = [
        {video: _by_label(events[video]) for video in truth if video in events} for events in (truth, predictions)
    ]  # fmt: skip
    curves = np.zeros((len(tolerances_s), len(classes), 2))
    for column, name in enumerate(classes):
        events = [[side.get(video, {}).get(name, ()) for side in sides] for video in truth]
        videos = [_steps_of_video(true, found, rate) for true, found in events if true or found]
        for row, tolerance_s in enumerate(tolerances_s):
            curves[row, column] = _average_precisions(videos, tolerance_s * rate)
    middles = (curves[1:] + curves[:-1]) / 2 if len(tolerances_s) > 1 else curves
    areas = middles.mean(axis=0)
    return SpottingScores(classes, tuple(areas[:, 0].tolist()), tuple(areas[:, 1].tolist()))


@dataclass(frozen=True, eq=False)
class _Steps:
    """One class in one video: steps of true events and whether they are shown; steps and scores of the answers."""

    true: NDArray[np.int64]
    shown: NDArray[np.bool_]
    answers: NDArray[np.int64]
    scores: NDArray[np.float64]

    @cached_property
    def nearest_is_shown(self) -> NDArray[np.bool_]:
        """Whether the nearest true event of each answer is visible; false if there is none."""
        if not len(self.true):
            return np.zeros(len(self.answers), np.bool_)
        middles = (self.true[1:] + self.true[:-1]) // 2
        return self.shown[np.searchsorted(middles, self.answers, side="right")]


def _by_label(events: Sequence[SpottedEvent]) -> dict[str, list[SpottedEvent]]:
    found: dict[str, list[SpottedEvent]] = {}
    for event in events:
        found.setdefault(event.label, []).append(event)
    return found


def _steps_of_video(truth: Sequence[SpottedEvent], predictions: Sequence[SpottedEvent], rate: float) -> _Steps:
    """From the true events and answers of one class in one video."""
    true = dict(sorted((int(event.time_s * rate), event.visible) for event in truth))
    spotted = {int(event.time_s * rate): event.score for event in predictions}
    answers = sorted(spotted)
    return _Steps(
        np.array(list(true), np.int64),
        np.array(list(true.values()), np.bool_),
        np.array(answers, np.int64),
        np.array([spotted[step] for step in answers], np.float64),
    )


def _average_precisions(videos: Sequence[_Steps], width: float) -> tuple[float, float]:
    """Average precision over all true events, and over the visible ones; `width` of the window in steps."""
    if not videos:
        return 0.0, 0.0
    scores = np.concatenate([video.scores for video in videos])
    hits = np.concatenate([_hits(video, width) for video in videos])
    shown = np.concatenate([video.nearest_is_shown for video in videos])
    num_true = sum(len(video.true) for video in videos)
    num_shown = sum(int(video.shown.sum()) for video in videos)
    return _eleven_points(scores, hits, num_true), _eleven_points(scores[shown], hits[shown], num_shown)


def _hits(video: _Steps, width: float) -> NDArray[np.bool_]:
    first = np.searchsorted(video.answers, video.true - width / 2, side="left").tolist()
    past = np.searchsorted(video.answers, video.true + width / 2, side="right").tolist()
    scores, hits = video.scores.tolist(), [False] * len(video.answers)
    for low, high in zip(first, past, strict=True):
        if high - low == 1:
            hits[low] = True
        elif near := [place for place in range(low, high) if not hits[place]]:
            hits[max(near, key=scores.__getitem__)] = True
    return np.array(hits, np.bool_)


def _eleven_points(scores: NDArray[np.float64], hits: NDArray[np.bool_], num_true: int) -> float:
    if not num_true or not len(scores):
        return 0.0
    order = np.argsort(scores)
    kept = len(scores) - np.searchsorted(scores[order], np.linspace(0, 1, 200), side="left")
    right = np.concatenate([[0], np.cumsum(hits[order][::-1])])[kept]
    precision, recall = right / np.maximum(kept, 1), right / num_true
    best = [np.max(precision[recall >= level / 10], initial=0) for level in range(11)]
    return float(np.mean(best))
