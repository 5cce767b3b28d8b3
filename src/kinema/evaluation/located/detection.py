"""Mean average precision of temporal detection (tIoU-mAP), in the conventions of ActivityNet and of THUMOS 2014.

They differ in four points, which makes differences of ten points and more on the same files:

- Matching. ActivityNet (`eval_detection.py`): each prediction, the best score first, takes the free true segment with the largest
  tIoU. THUMOS 2014 (`TH14evalkit`): each true segment, in the order given, takes the free prediction with the largest tIoU,
  whatever its score.
- A tIoU equal to the threshold is enough for ActivityNet, and too small for THUMOS 2014.
- Average precision. ActivityNet: interpolated, the precision at a recall is the largest one at this or a higher recall.
  THUMOS 2014: the mean of the precisions at the true positives.
- Thresholds. ActivityNet: 0.5 to 0.95 in steps of 0.05. THUMOS 2014: 0.1 to 0.7 in steps of 0.1.

Papers on THUMOS 2014 of recent years (BMN, ActionFormer) use ActivityNet's program with the thresholds 0.3 to 0.7.
Segments with equal scores keep the order in which they are given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinema.errors import DataError
from kinema.evaluation.located.segments import SegmentTable, classes_of, tiou

if TYPE_CHECKING:
    from numpy.typing import NDArray

ACTIVITYNET = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
THUMOS = (0.3, 0.4, 0.5, 0.6, 0.7)
THUMOS2014 = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


@dataclass(frozen=True, slots=True, eq=False)
class DetectionScores:
    """Average precision by class [classes thresholds]; a class without predictions has 0."""

    classes: tuple[str, ...]
    thresholds: tuple[float, ...]
    average_precision: NDArray[np.float64]

    @property
    def mean_ap(self) -> NDArray[np.float64]:
        """Mean over classes at each threshold [thresholds]."""
        return self.average_precision.mean(axis=0)

    @property
    def average_mean_ap(self) -> float:
        """Mean over classes and thresholds."""
        return float(self.average_precision.mean())


def activitynet_map(
    truth: SegmentTable, predictions: SegmentTable, thresholds: Sequence[float] = ACTIVITYNET
) -> DetectionScores:
    """Average precision as ActivityNet's `eval_detection.py` computes it (Caba Heilbron et al. 2015).

    Raises:
        DataError: there is no true segment.
    """
    return _by_class(truth, predictions, thresholds, match_by_score, interpolated_precision)


def thumos2014_map(
    truth: SegmentTable, predictions: SegmentTable, thresholds: Sequence[float] = THUMOS2014
) -> DetectionScores:
    """Average precision as the THUMOS 2014 challenge computed it (Jiang et al. 2014).

    Raises:
        DataError: there is no true segment.
    """
    return _by_class(truth, predictions, thresholds, match_by_truth, precision_at_hits)


def _by_class(
    truth: SegmentTable,
    predictions: SegmentTable,
    thresholds: Sequence[float],
    match: Callable[[SegmentTable, SegmentTable, Sequence[float]], NDArray[np.bool_]],
    average: Callable[[NDArray[np.bool_], int], float],
) -> DetectionScores:
    if not len(truth):
        raise DataError("there is no true segment to compare with", "", "check the part and the file of the truth")
    rows = {
        name: [average(hits, len(true)) for hits in match(true, ranked, thresholds)]
        for name, true, ranked in classes_of(truth, predictions)
    }
    return DetectionScores(tuple(rows), tuple(thresholds), np.array(list(rows.values())))


def match_by_score(truth: SegmentTable, ranked: SegmentTable, thresholds: Sequence[float]) -> NDArray[np.bool_]:
    """Which segments of one class match a true segment that no better segment has matched: [thresholds n].

    Args:
        truth: true segments of the class.
        ranked: predicted segments of the class, the best first. Each takes the free true segment with the largest tIoU.
        thresholds: least tIoU.
    """
    hits = np.zeros((len(thresholds), len(ranked)), np.bool_)
    least, every = np.asarray(thresholds, dtype=np.float64)[:, None], np.arange(len(thresholds))
    for rows, overlaps in _overlaps_by_video(truth, ranked):
        free = np.ones((len(thresholds), overlaps.shape[1]), np.bool_)
        near = overlaps.max(axis=1) >= least.min()
        for row, overlap in zip(rows[near], overlaps[near], strict=True):
            enough = free & (overlap >= least)
            found = enough.any(axis=1)
            hits[found, row] = True
            free[every[found], np.where(enough, overlap, -1).argmax(axis=1)[found]] = False
    return hits


def match_by_truth(truth: SegmentTable, ranked: SegmentTable, thresholds: Sequence[float]) -> NDArray[np.bool_]:
    """Which segments of one class are the best free one of a true segment: [thresholds n]; arguments as `match_by_score`.

    Each true segment, in the order given, takes the free prediction with the largest tIoU, whatever its score.
    """
    hits = np.zeros((len(thresholds), len(ranked)), np.bool_)
    for rows, overlaps in _overlaps_by_video(truth, ranked):
        for level, threshold in enumerate(thresholds):
            free = np.ones(len(rows), np.bool_)
            for overlap in overlaps.T:
                best = int(np.where(free, overlap, -1).argmax())
                if free[best] and overlap[best] > threshold:
                    free[best] = False
            hits[level, rows] = ~free
    return hits


def _overlaps_by_video(
    truth: SegmentTable, ranked: SegmentTable
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """For each video with truth and predictions: rows of the predictions, and their tIoU [predictions truth]."""
    true_rows = truth.by_video()
    for video, rows in ranked.by_video().items():
        if video in true_rows:
            yield rows, tiou(ranked.times_s[rows], truth.times_s[true_rows[video]])


def interpolated_precision(hits: NDArray[np.bool_], num_true: int) -> float:
    """Area under the precision envelope over recall (PASCAL VOC since 2010); `hits` [n] from the best score down."""
    if not num_true:
        return 0.0
    right = np.cumsum(hits)
    precision = right / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[hits].sum() / num_true)


def precision_at_hits(hits: NDArray[np.bool_], num_true: int) -> float:
    """Sum of the precisions at the hits, divided by the number of true segments; `hits` [n] from the best score down."""
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].sum() / num_true) if num_true else 0.0
