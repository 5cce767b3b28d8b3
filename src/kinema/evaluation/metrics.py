"""All figures of an evaluation from one tally, so that figures and their bootstrap intervals always agree.

Macro-F1 is the mean F1 over the classes that are true or predicted for some video (as in scikit-learn); mean class accuracy is
the mean recall over the classes that are true for some video. If a video has one label, the predicted class is the one with the
highest score; if it may have several, all classes with a score of at least one half are predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinema.evaluation.hits import hits_at, truth_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.evaluation.scores import VideoScores

TOP = (1, 5)


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One row of the class table. `n` counts the videos (or frames) that truly belong to the class."""

    label: str
    n: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """What each of n videos adds to each figure, with c classes.

    `clip_hits`, `video_hits`: [n 2], at 1 (column 0) and at 5; `num_views` [n]; `truth`, `predicted` [n c].
    """

    clip_hits: NDArray[np.float32]
    video_hits: NDArray[np.float32]
    num_views: NDArray[np.float32]
    truth: NDArray[np.bool_]
    predicted: NDArray[np.bool_]

    def figures(self, weights: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
        """The figures [b] by name if video i counts `weights[b, i]` times [b n]; weights of one give the plain figures."""
        times = weights.astype(np.float64)
        clip_hits = times @ self.clip_hits / (times @ self.num_views)[:, None]
        video_hits = times @ self.video_hits / times.sum(axis=1, keepdims=True)
        right, true, predicted = self.class_counts(times)
        return {
            "macro_f1": masked_mean(2 * right, true + predicted),
            "clip_hit_at_1": clip_hits[:, 0],
            "clip_hit_at_5": clip_hits[:, 1],
            "video_hit_at_1": video_hits[:, 0],
            "video_hit_at_5": video_hits[:, 1],
            "mean_class_accuracy": masked_mean(right, true),
        }

    def class_counts(self, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Weighted numbers of videos that are rightly predicted as a class, truly of it, and predicted as it: each [b c]."""
        tables = (self.truth & self.predicted, self.truth, self.predicted)
        return tuple(weighted_counts(weights, table) for table in tables)


def tally(videos: Sequence[VideoScores], num_classes: int, multi_label: bool) -> Tally:
    """Count the hits of every video, by clip and for the whole video, and its predicted classes."""
    truth = truth_table([video.targets for video in videos], num_classes)
    scores = np.stack([video.video for video in videos])
    rows = np.concatenate([video.scores for video in videos])
    owner = np.repeat(np.arange(len(videos)), [len(video.scores) for video in videos])
    clip_hits = np.stack([np.bincount(owner, hits_at(rows, truth[owner], k), len(videos)) for k in TOP], axis=1)
    best = np.arange(num_classes) == scores.argmax(axis=1)[:, None]
    return Tally(
        clip_hits=clip_hits.astype(np.float32),
        video_hits=np.stack([hits_at(scores, truth, k) for k in TOP], axis=1).astype(np.float32),
        num_views=np.bincount(owner).astype(np.float32),
        truth=truth,
        predicted=scores >= 0.5 if multi_label else best,
    )


def weighted_counts(weights: NDArray[np.float64], table: NDArray[np.bool_]) -> NDArray[np.float64]:
    """`weights [b n] @ table [n c]` for a sparse table: only its true cells are read."""
    classes, rows = np.nonzero(table.T)
    counts = np.zeros((len(weights), table.shape[1]))
    present, starts = np.unique(classes, return_index=True)
    if len(present):
        counts[:, present] = np.add.reduceat(weights[:, rows], starts, axis=1)
    return counts


def masked_mean(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of part / whole over the columns with whole > 0, for each row; 0 if there is none."""
    ratio = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return ratio.sum(axis=1) / np.maximum((whole > 0).sum(axis=1), 1)


def class_scores(
    labels: Sequence[str], right: NDArray[np.generic], true: NDArray[np.generic], predicted: NDArray[np.generic]
) -> tuple[ClassScore, ...]:
    """Precision, recall and F1 of every class, in the order of the labels; 0 where the denominator is 0.

    `right`, `true` and `predicted` [classes] count the items rightly predicted as a class, truly of it, and predicted as it.
    """
    hits, n, m = (np.asarray(counts, dtype=np.float64) for counts in (right, true, predicted))
    precision, recall, f1 = hits / np.maximum(m, 1), hits / np.maximum(n, 1), 2 * hits / np.maximum(n + m, 1)
    rows = zip(labels, n.astype(int).tolist(), precision.tolist(), recall.tolist(), f1.tolist(), strict=True)
    return tuple(ClassScore(*row) for row in rows)


def confusion_matrix(counts: Tally) -> NDArray[np.int64]:
    """Counts [true predicted] of single-label videos."""
    truth, predicted = counts.truth.argmax(axis=1), counts.predicted.argmax(axis=1)
    size = counts.truth.shape[1]
    return np.bincount(truth * size + predicted, minlength=size * size).reshape(size, size)


def clip_losses(video: VideoScores, multi_label: bool) -> NDArray[np.float64]:
    """Cross-entropy of each view, [views]; scores are clipped to float32's smallest normal number."""
    scores = np.clip(video.scores.astype(np.float64), np.finfo(np.float32).tiny, 1.0)
    if not multi_label:
        return -np.log(scores[:, video.targets[0]])
    truth = truth_table([video.targets], scores.shape[1])
    against = np.clip(1 - scores, np.finfo(np.float32).eps, 1.0)
    return -np.where(truth, np.log(scores), np.log(against)).mean(axis=1)


def average_precision(scores: NDArray[np.float32], truth: NDArray[np.bool_]) -> float | None:
    """Mean over the true rows of the precision at their score (not interpolated); None if no row is true.

    `scores` [n] are those of one class, `truth` [n] says which rows belong to it. Rows of equal score are counted together, so
    that their order does not matter (as in scikit-learn).
    """
    if not truth.any():
        return None
    order = np.argsort(-scores)
    falling, ranked = -scores[order], truth[order]
    at_least = np.searchsorted(falling, falling[ranked], side="right")  # rows of this score or a higher one
    return float((np.cumsum(ranked)[at_least - 1] / at_least).mean())


def mean_average_precision(scores: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    """Mean average precision over the classes that are true in some row. Both arguments are [n classes]."""
    values = [average_precision(column, true) for column, true in zip(scores.T, truth.T, strict=True)]
    present = [value for value in values if value is not None]
    return float(np.mean(present)) if present else 0.0
