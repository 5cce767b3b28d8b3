"""Video-level mean average precision of tubes: boxes of one actor over consecutive frames, with a label (video-mAP).

The overlap of two tubes is their temporal IoU times the mean IoU of their boxes in the frames that both have. Programs differ by
whether a frame and a pixel count as one more than the difference of the ends:

| convention | frames | pixels | used by |
|---|---|---|---|
| `plus-one` | last - first + 1 | right - left + 1 | ACT (Kalogeiton et al. 2017), YOWO |
| `multisports` | last - first | right - left | MultiSports, mmaction2 |
| `exact` | last - first + 1 | right - left | none known; what half-open intervals give |
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinema.boxes import box_iou
from kinema.choices import TubeConvention
from kinema.errors import DataError
from kinema.evaluation.located.detection import interpolated_precision
from kinema.evaluation.located.error_kinds import ErrorKinds, count_kinds

if TYPE_CHECKING:
    from numpy.typing import NDArray

THRESHOLDS = (0.2, 0.5, 0.75, *(round(0.5 + 0.05 * step, 2) for step in range(10)))


@dataclass(frozen=True, slots=True, eq=False)
class LabelledTube:
    """Boxes [n 4] of consecutive frames from `first_frame` on: left, top, right, bottom in pixels."""

    video: str
    label: str
    first_frame: int
    boxes: NDArray[np.float64]
    score: float = 1.0

    @property
    def last_frame(self) -> int:
        """The last frame that has a box."""
        return self.first_frame + len(self.boxes) - 1


def tube_iou(first: LabelledTube, second: LabelledTube, convention: TubeConvention) -> float:
    """Overlap of two tubes, 0 to 1; see the head of this module."""
    start, end = max(first.first_frame, second.first_frame), min(first.last_frame, second.last_frame)
    if end < start:
        return 0.0
    frame, pixel = (0, 0) if convention == "multisports" else (1, 1 if convention == "plus-one" else 0)
    union = max(first.last_frame, second.last_frame) - min(first.first_frame, second.first_frame) + frame
    if union == 0:
        return 0.0
    pair = [tube.boxes[start - tube.first_frame : end - tube.first_frame + 1] for tube in (first, second)]
    overlaps = [box_iou(a[None], b[None], pixel)[0, 0] for a, b in zip(*pair, strict=True)]
    return float((end - start + frame) / union * np.mean(overlaps))


@dataclass(frozen=True, slots=True, eq=False)
class TubeScores:
    """Average precision by class [classes thresholds], and the kinds of error at an overlap of 0.5."""

    classes: tuple[str, ...]
    thresholds: tuple[float, ...]
    average_precision: NDArray[np.float64]
    kinds: ErrorKinds

    @property
    def mean_ap(self) -> dict[float, float]:
        """Mean over classes, by threshold."""
        return dict(zip(self.thresholds, self.average_precision.mean(axis=0).tolist(), strict=True))


def video_map(
    truth: Sequence[LabelledTube],
    answers: Sequence[LabelledTube],
    thresholds: Sequence[float] = THRESHOLDS,
    convention: TubeConvention = "plus-one",
) -> dict[float, float]:
    """Mean over the classes of the truth of average precision, by threshold; see `tube_scores`.

    Raises:
        DataError: there is no true tube.
    """
    return tube_scores(truth, answers, thresholds, convention).mean_ap


def tube_scores(
    truth: Sequence[LabelledTube],
    answers: Sequence[LabelledTube],
    thresholds: Sequence[float] = THRESHOLDS,
    convention: TubeConvention = "plus-one",
) -> TubeScores:
    """Average precision of tubes.

    Matching and average precision are those of MultiSports' program (Li et al. 2021), whatever the convention: each answer is
    compared with the true tube of its video and class that it overlaps most, and precision is interpolated. Answers of classes
    without truth are left out; answers with equal scores keep their order.

    Raises:
        DataError: there is no true tube.
    """
    if not truth:
        raise DataError("there is no true tube to compare with", "", "check the part and the file of the truth")
    by_video: defaultdict[str, list[LabelledTube]] = defaultdict(list)
    for tube in truth:
        by_video[tube.video].append(tube)
    classes = sorted({tube.label for tube in truth})
    averages, rows = [], []
    for label in classes:
        ranked = sorted((tube for tube in answers if tube.label == label), key=lambda tube: -tube.score)
        num_true = sum(tube.label == label for tube in truth)
        overlaps = [_overlaps(answer, by_video[answer.video], convention) for answer in ranked]
        own = [[(tube, iou) for tube, iou in row if tube.label == label] for row in overlaps]
        averages.append([interpolated_precision(_hits(own, threshold), num_true) for threshold in thresholds])
        same = np.array([max((iou for _, iou in row), default=0.0) for row in own])
        others = [[iou for tube, iou in row if tube.label != label] for row in overlaps]
        rows.append((_hits(own, 0.5), same, np.array([max(row, default=0.0) for row in others])))
    return TubeScores(tuple(classes), tuple(thresholds), np.array(averages), count_kinds(rows, len(truth), 0.5))


def _overlaps(
    answer: LabelledTube, truth: Sequence[LabelledTube], convention: TubeConvention
) -> list[tuple[LabelledTube, float]]:
    return [(tube, tube_iou(answer, tube, convention)) for tube in truth]


def _hits(overlaps: Sequence[Sequence[tuple[LabelledTube, float]]], threshold: float) -> NDArray[np.bool_]:
    """Which answers of one class, the best first, are right, from their overlaps with the true tubes of their video."""
    taken: set[int] = set()
    hits = np.zeros(len(overlaps), np.bool_)
    for row, pairs in enumerate(overlaps):
        tube, overlap = max(pairs, key=lambda pair: pair[1], default=(None, 0.0))
        if tube is not None and overlap >= threshold and id(tube) not in taken:
            taken.add(id(tube))
            hits[row] = True
    return hits
