"""Figures of a label at each frame by its segments, in both conventions in use.

Lea et al. (2017) compute F1@k for each video and average it over videos; Abu Farha and Gall (2019, MS-TCN) sum the counts of all
videos first. Accuracy exists both ways too: the mean over videos, and over all frames. The edit score is a mean over videos.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinema.errors import DataError
from kinema.evaluation.framewise import OVERLAPS, Run, count_matches, edit_score, runs_of

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


def segmental_scores_of_spans(
    truth: Mapping[str, Sequence[Run]],
    answers: Mapping[str, Sequence[Run]],
    durations_s: Mapping[str, float],
    background: Collection[int] = (),
) -> SegmentalScores:
    """Score labels with start and end in seconds: what `segmental_scores` gives for frames of vanishing length.

    Args:
        truth: label, start and end of each video's segments, in order of time; they do not overlap.
        answers: as `truth`. Videos without any may be left out, and other videos are not judged.
        durations_s: length of each video; by default, a video ends with its last true segment.
        background: labels whose segments are left out of the edit score and F1. Accuracy takes them, and times without a
            segment, for one class.

    Raises:
        DataError: no video has a true segment.
    """
    judged = {video: runs for video, runs in truth.items() if runs}
    if not judged:
        raise DataError("there is no true segment to compare with", "", "check the part and the file of the truth")
    right_s, length_s, edits, counts = [], [], [], []
    for video, true in judged.items():
        pair = [_joined([run for run in side if run[0] not in background]) for side in (true, answers.get(video, ()))]
        end_s = durations_s.get(video, true[-1][2])
        right_s.append(_equal_s(pair, end_s))
        length_s.append(end_s)
        edits.append(edit_score(*([run[0] for run in side] for side in pair)))
        counts.append([count_matches(pair[0], pair[1], overlap) for overlap in OVERLAPS])
    table = np.array(counts)
    return SegmentalScores(
        accuracy_mean=float(np.mean(np.array(right_s) / length_s)),
        accuracy_pooled=float(np.sum(right_s) / np.sum(length_s)),
        edit_score=float(np.mean(edits)),
        f1_mean=tuple(_f1(table).mean(axis=0).tolist()),
        f1_pooled=tuple(_f1(table.sum(axis=0)).tolist()),
    )


def _joined(runs: Sequence[Run]) -> list[Run]:
    """Neighbours of one label that touch, as one."""
    joined: list[Run] = []
    for label, start, end in runs:
        if joined and joined[-1][0] == label and start - joined[-1][2] < 1e-6:
            joined[-1] = (label, joined[-1][1], end)
        else:
            joined.append((label, start, end))
    return joined


def _equal_s(pair: Sequence[Sequence[Run]], end_s: float) -> float:
    """Seconds from 0 to `end_s` in which both sides have the same label, or none."""
    edges = np.unique([0.0, end_s, *(time for runs in pair for run in runs for time in run[1:])])
    edges = edges[(edges >= 0) & (edges <= end_s)]
    labels = []
    for runs in pair:
        starts, ends = (np.array([run[side] for run in runs]) for side in (1, 2))
        place = np.searchsorted(starts, edges[:-1], side="right") - 1
        inside = (place >= 0) & (np.append(ends, -np.inf)[place] > edges[:-1])
        labels.append(np.where(inside, np.array([*(run[0] for run in runs), -1])[place], -1))
    return float(np.diff(edges)[labels[0] == labels[1]].sum())


def _f1(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """F1 of true positives, false positives and false negatives on the last axis; 0 where there are none."""
    right, wrong, missed = np.moveaxis(counts, -1, 0)
    return 2 * right / np.maximum(2 * right + wrong + missed, 1)
