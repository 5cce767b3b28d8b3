"""Frame-level mean average precision of actions in boxes, as AVA's program computes it (Gu et al. 2018).

An answer is a box at a key frame with one label and a score. At each key frame the 50 answers with the highest scores over all
classes count. In order of score, each is compared with the true box of its class that it overlaps most: it is right if their
intersection over union (IoU) is at least the threshold and no better answer has taken that box. Unlike in ActivityNet's program,
there is no second choice. Answers with equal scores keep their order. Average precision is interpolated (PASCAL VOC since 2010).
Answers at key frames that the truth does not list are left out; those at listed key frames without true boxes are wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinema.boxes import box_iou
from kinema.errors import DataError
from kinema.evaluation.located.detection import interpolated_precision
from kinema.evaluation.located.error_kinds import ErrorKinds, count_kinds

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_ANSWERS = 50


@dataclass(frozen=True, slots=True, eq=False)
class BoxTable:
    """n labelled boxes at key frames.

    Args:
        frames: the key frame of each box [n], any name that is the same in truth and answers.
        labels: the label of each box [n].
        boxes: left, top, right, bottom [n 4], in shares of the frame or in pixels.
        scores: the score of each box [n]; ones for truth.

    Raises:
        DataError: a coordinate or score that is not finite, or a box without a width and height.
    """

    frames: NDArray[np.str_]
    labels: NDArray[np.str_]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]

    def __post_init__(self) -> None:
        bad = ~np.isfinite(self.boxes).all(axis=1) | ~np.isfinite(self.scores)
        bad |= (self.boxes[:, 2:] <= self.boxes[:, :2]).any(axis=1)
        if bad.any():
            row = int(bad.argmax())
            where = f"{self.frames[row]}: {self.labels[row]}, {self.boxes[row].tolist()}, score {self.scores[row]}"
            raise DataError("a box needs left < right, top < bottom and a finite score", where)

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> BoxTable:
        """Some of the rows, by mask or by index."""
        return BoxTable(self.frames[rows], self.labels[rows], self.boxes[rows], self.scores[rows])

    def by_score(self) -> BoxTable:
        """The rows from the highest score to the lowest; equal scores keep their order."""
        return self.take(np.argsort(-self.scores, kind="stable"))


@dataclass(frozen=True, slots=True)
class BoxScores:
    """Average precision by class, NaN for a class without truth; answers that were left out; kinds of error."""

    classes: tuple[str, ...]
    average_precision: tuple[float, ...]
    num_over_limit: int
    num_unknown: int
    num_unlisted: int
    kinds: ErrorKinds

    @property
    def mean_ap(self) -> float:
        """Mean over the classes that have truth."""
        return float(np.nanmean(self.average_precision))


def ava_map(
    truth: BoxTable,
    answers: BoxTable,
    classes: Collection[str],
    *,
    key_frames: Collection[str] = (),
    threshold: float = 0.5,
    excluded: Collection[str] = (),
    max_answers: int = MAX_ANSWERS,
) -> BoxScores:
    """Frame mAP of boxes with actions.

    Args:
        truth: true boxes, one row for each label of a person.
        answers: answered boxes.
        classes: the classes that are judged, such as AVA's 60; other labels are left out.
        key_frames: listed key frames without true boxes; those with boxes are known from `truth`.
        threshold: least IoU.
        excluded: key frames that are not judged.
        max_answers: answers of a key frame that count, over all classes.

    Raises:
        DataError: there is no true box of these classes.
    """
    names = tuple(classes)
    listed = np.array(sorted({*truth.frames.tolist(), *key_frames} - {*excluded}), dtype=np.str_)
    true = truth.take(np.isin(truth.labels, names) & np.isin(truth.frames, listed))
    if not len(true):
        do = "check the part, the classes and the file of the truth"
        raise DataError("there is no true box to compare with", "", do)
    known = np.isin(answers.labels, names)
    judged = known & np.isin(answers.frames, listed)
    ranked = answers.take(judged).by_score()
    places: defaultdict[str, int] = defaultdict(int)
    kept = np.zeros(len(ranked), np.bool_)
    for row, frame in enumerate(ranked.frames.tolist()):
        kept[row] = places[frame] < max_answers
        places[frame] += 1
    ranked = ranked.take(kept)
    averages, rows = [], []
    for name in names:
        own = true.take(true.labels == name)
        found = ranked.take(ranked.labels == name)
        hits = match_boxes(own, found, threshold)
        averages.append(interpolated_precision(hits, len(own)) if len(own) else float("nan"))
        rows.append((hits, best_iou(found, own), best_iou(found, true.take(true.labels != name))))
    return BoxScores(
        names, tuple(averages), num_over_limit=int((~kept).sum()), num_unknown=int((~known).sum()),
        num_unlisted=int((known & ~judged).sum()), kinds=count_kinds(rows, len(true), threshold),
    )  # fmt: skip


def match_boxes(truth: BoxTable, ranked: BoxTable, threshold: float) -> NDArray[np.bool_]:
    """Which answers of one class, the best first, are right [n]."""
    rows = _rows_by_frame(truth)
    hits, taken = np.zeros(len(ranked), np.bool_), np.zeros(len(truth), np.bool_)
    for answer, frame in enumerate(ranked.frames.tolist()):
        if frame in rows:
            overlaps = box_iou(ranked.boxes[answer : answer + 1], truth.boxes[rows[frame]])[0]
            best = rows[frame][int(overlaps.argmax())]
            if overlaps.max() >= threshold and not taken[best]:
                hits[answer] = taken[best] = True
    return hits


def best_iou(answers: BoxTable, truth: BoxTable) -> NDArray[np.float64]:
    """The largest IoU of each answer with a true box of its frame [n]."""
    rows, best = _rows_by_frame(truth), np.zeros(len(answers))
    for answer, frame in enumerate(answers.frames.tolist()):
        if frame in rows:
            best[answer] = box_iou(answers.boxes[answer : answer + 1], truth.boxes[rows[frame]]).max()
    return best


def _rows_by_frame(table: BoxTable) -> dict[str, list[int]]:
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for row, frame in enumerate(table.frames.tolist()):
        rows[frame].append(row)
    return rows
