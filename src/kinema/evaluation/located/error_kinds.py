"""Why answers are wrong and truth is missed, in the manner of DETAD (Alwassel et al. 2018)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinema.evaluation.located.detection import match_by_score
from kinema.evaluation.located.segments import tiou

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.evaluation.located.segments import SegmentTable

NEAR = 0.1
"""Least tIoU with truth of a wrong answer that is not background."""


@dataclass(frozen=True, slots=True)
class ErrorKinds:
    """Counts of answers and of missed truth.

    Args:
        right: answers that match a true segment.
        doubled: would match, but a better answer has taken the true segment.
        wrong_label: would match a true segment of another class.
        border: right class, tIoU from `NEAR` to the threshold.
        label_and_border: another class, tIoU from `NEAR` to the threshold.
        background: tIoU with all truth below `NEAR`.
        missed: true segments without a matching answer.
    """

    right: int
    doubled: int
    wrong_label: int
    border: int
    label_and_border: int
    background: int
    missed: int


def error_kinds(truth: SegmentTable, answers: SegmentTable, threshold: float = 0.5) -> ErrorKinds:
    """Sort all answers by kind; matching is ActivityNet's at a tIoU of `threshold`."""
    rows = []
    for label in sorted({*truth.labels.tolist(), *answers.labels.tolist()}):
        true, own = truth.take(truth.labels == label), answers.take(answers.labels == label).by_score()
        hits = match_by_score(true, own, [threshold])[0]
        rows.append((hits, _best_overlap(own, true), _best_overlap(own, truth.take(truth.labels != label))))
    return count_kinds(rows, len(truth), threshold)


def count_kinds(
    rows: Iterable[tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]], num_true: int, threshold: float
) -> ErrorKinds:
    """Sort answers by kind.

    Args:
        rows: for each class, whether its answers are right [n], and their largest overlaps with truth of it and of others.
        num_true: number of true actions.
        threshold: least overlap.
    """
    counts = dict.fromkeys(("right", "doubled", "wrong_label", "border", "label_and_border", "background"), 0)
    for columns in rows:
        for hit, inside, outside in zip(*(column.tolist() for column in columns), strict=True):
            counts[_kind(hit, inside, outside, threshold)] += 1
    return ErrorKinds(**counts, missed=num_true - counts["right"])


def _kind(hit: bool, same: float, other: float, threshold: float) -> str:
    if hit:
        return "right"
    if same >= threshold:
        return "doubled"
    if other >= threshold:
        return "wrong_label"
    if max(same, other) < NEAR:
        return "background"
    return "border" if same >= NEAR else "label_and_border"


def _best_overlap(answers: SegmentTable, truth: SegmentTable) -> NDArray[np.float64]:
    """The largest tIoU of each answer with truth of its video [n]."""
    best = np.zeros(len(answers))
    true_rows = truth.by_video()
    for video, rows in answers.by_video().items():
        if video in true_rows:
            best[rows] = tiou(answers.times_s[rows], truth.times_s[true_rows[video]]).max(axis=1)
    return best
