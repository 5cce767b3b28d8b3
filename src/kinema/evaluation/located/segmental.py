"""Figures of a label at each frame by its segments, in both conventions in use.

Lea et al. (2017) compute F1@k for each video and average it over videos; Abu Farha and Gall (2019, MS-TCN) sum the counts of all
videos first. Accuracy exists both ways too: the mean over videos, and over all frames. The edit score is a mean over videos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinema.errors import DataError
from kinema.evaluation.framewise import OVERLAPS, count_matches, edit_score, runs_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SegmentalScores:
    """Shares from 0 to 1; F1 at each of `OVERLAPS`."""

    accuracy_mean: float
    accuracy_pooled: float
    edit_score: float
    f1_mean: tuple[float, ...]
    f1_pooled: tuple[float, ...]


def segmental_scores(
    videos: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]], background: int | None = None
) -> SegmentalScores:
    """Score predicted classes of frames.

    Args:
        videos: true and predicted classes [frames] of each video.
        background: the class whose segments are left out of the edit score and F1; accuracy counts its frames.

    Raises:
        DataError: no video, or one without a frame.
    """
    if not videos or not all(len(true) for true, _ in videos):
        raise DataError("there is no labelled frame to compare with", "", "check the part and the file of the truth")
    right = [true == predicted for true, predicted in videos]
    runs = [(runs_of(true, background), runs_of(predicted, background)) for true, predicted in videos]
    counts = np.array([[count_matches(*pair, overlap) for overlap in OVERLAPS] for pair in runs])
    return SegmentalScores(
        accuracy_mean=float(np.mean([hits.mean() for hits in right])),
        accuracy_pooled=float(np.concatenate(right).mean()),
        edit_score=float(np.mean([edit_score(*([run[0] for run in side] for side in pair)) for pair in runs])),
        f1_mean=tuple(_f1(counts).mean(axis=0).tolist()),
        f1_pooled=tuple(_f1(counts.sum(axis=0)).tolist()),
    )


def _f1(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """F1 of true positives, false positives and false negatives on the last axis; 0 where there are none."""
    right, wrong, missed = np.moveaxis(counts, -1, 0)
    return 2 * right / np.maximum(2 * right + wrong + missed, 1)
