"""Average recall of class-agnostic proposals against their mean number a video (AR-AN), as ActivityNet's `eval_proposal.py`.

Recall at a tIoU is the share of true segments that a kept proposal meets, and average recall (AR) its mean over thresholds of
tIoU. The number of proposals is limited to a mean (AN) over the videos, and each video keeps the same share of its own proposals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinema.errors import DataError
from kinema.evaluation.located.detection import ACTIVITYNET
from kinema.evaluation.located.segments import SegmentTable, tiou

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS = 100


@dataclass(frozen=True, slots=True, eq=False)
class ProposalScores:
    """Recall [thresholds steps] at mean numbers of proposals a video [steps]."""

    thresholds: tuple[float, ...]
    numbers: NDArray[np.float64]
    recall: NDArray[np.float64]

    @property
    def average_recall(self) -> NDArray[np.float64]:
        """Mean over thresholds [steps]."""
        return self.recall.mean(axis=0)

    @property
    def area(self) -> float:
        """Area under average recall over the number of proposals, divided by the largest number: 0 to 1."""
        heights = (self.average_recall[1:] + self.average_recall[:-1]) / 2
        return float((heights * np.diff(self.numbers)).sum() / self.numbers[-1])


def proposal_recall(
    truth: SegmentTable,
    proposals: SegmentTable,
    max_number: float | None = None,
    thresholds: Sequence[float] = ACTIVITYNET,
) -> ProposalScores:
    """Recall of proposals, whatever their labels.

    Args:
        truth: true segments; videos without one are not judged.
        proposals: proposed segments with scores.
        max_number: largest mean number of proposals a video; None takes that of all proposals.
        thresholds: least tIoU.

    Raises:
        DataError: no true segment, or no proposal in its videos.
    """
    true_rows, ranked = truth.by_video(), proposals.by_score()
    ranked_rows = {video: rows for video, rows in ranked.by_video().items() if video in true_rows}
    if not ranked_rows:
        raise DataError("no proposal is in a video with a true segment", "", "check the names of the videos")
    num_videos = len(true_rows)
    max_number = max_number or len(proposals) / num_videos
    share = max_number * num_videos / len(proposals)
    overlaps = []
    for video, rows in true_rows.items():
        proposed = ranked_rows.get(video, np.zeros(0, np.int64))
        proposed = proposed[: min(int(len(proposed) * share), len(proposed))]
        overlaps.append(tiou(truth.times_s[rows], ranked.times_s[proposed]))
    total = sum(table.shape[1] for table in overlaps)
    shares = np.arange(1, STEPS + 1) / STEPS * (max_number * num_videos / total)
    kept = [np.minimum((table.shape[1] * shares).astype(np.int64), table.shape[1]) for table in overlaps]
    recall = np.zeros((len(thresholds), STEPS))
    for row, threshold in enumerate(thresholds):
        for table, counts in zip(overlaps, kept, strict=True):
            met = table >= threshold
            first = np.where(met.any(axis=1), met.argmax(axis=1), np.iinfo(np.int64).max) if table.size else None
            if first is not None:
                recall[row] += (first[:, None] < counts).sum(axis=0)
    return ProposalScores(tuple(thresholds), shares * total / num_videos, recall / len(truth))
