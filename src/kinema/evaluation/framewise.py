"""Scores of frame-wise labels: by frames, and by the segments that equal neighbours form.

Frame accuracy (MoF, mean over frames) is the share of all frames that are right. It does not penalise a label that flickers; the
two segment measures of Lea et al. (2017) do. The edit score compares only the order of segments: one minus the Levenshtein
distance between the two lists of labels, divided by the longer one's length, averaged over videos. F1@k counts a predicted
segment as a true positive if its intersection over union with a true segment of its label is at least k %; each true segment is
matched once, and counts are summed over videos (as in Abu Farha and Gall 2019). Both ignore segments of the background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinema.errors import KinemaError
from kinema.evaluation.metrics import masked_mean
from kinema.evaluation.scores import NOT_FINITE
from kinema.labels import IGNORED

if TYPE_CHECKING:
    from numpy.typing import NDArray

OVERLAPS = (0.10, 0.25, 0.50)

Run = tuple[int, float, float]
"""A run of frames of one class: class, first frame, one past the last frame. (Or seconds in place of frames.)"""


@dataclass(frozen=True, slots=True, eq=False)
class FrameScores:
    """Scores [n classes] at n frames of one video, and their true classes [n]; `IGNORED` for frames without a label.

    `group` names the source of the video, such as a camera or a match; an empty one makes the video a group of its own.

    Raises:
        ValueError: shapes that do not fit, or no frame.
        KinemaError: scores that are not finite.
    """

    key: str
    targets: NDArray[np.int64]
    scores: NDArray[np.float32]
    group: str = ""

    def __post_init__(self) -> None:
        if self.scores.ndim != 2 or self.targets.shape != self.scores.shape[:1] or not self.scores.size:
            raise ValueError(f"one target for each frame is needed, got {self.targets.shape=}, {self.scores.shape=}")
        if not np.isfinite(self.scores).all():
            raise KinemaError("the network's scores are not numbers", self.key, NOT_FINITE)

    @property
    def labelled(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """True and predicted classes of the frames that have a label."""
        known = self.targets != IGNORED
        return self.targets[known], self.scores[known].argmax(axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class FrameTally:
    """What each of n videos adds to each figure.

    `right`, `true`, `predicted` [n classes] count frames that are rightly predicted as a class, truly of it, and predicted as it;
    `confusion` [true predicted] counts the frames of all videos. `edit_scores` is [n]; `true_positives`, `false_positives` and
    `false_negatives` [n overlaps] count segments.
    """

    right: NDArray[np.int64]
    true: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confusion: NDArray[np.int64]
    edit_scores: NDArray[np.float64]
    true_positives: NDArray[np.int64]
    false_positives: NDArray[np.int64]
    false_negatives: NDArray[np.int64]

    def figures(self, weights: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
        """The figures [b] by name if video i counts `weights[b, i]` times [b n]; weights of one give the plain figures."""
        times = weights.astype(np.float64)
        right, true, predicted = times @ self.right, times @ self.true, times @ self.predicted
        positives = times @ self.true_positives
        errors = times @ self.false_positives + times @ self.false_negatives
        f1 = 2 * positives / np.maximum(2 * positives + errors, 1e-12)
        return {
            "frame_accuracy": right.sum(axis=1) / np.maximum(true.sum(axis=1), 1e-12),
            "mean_class_accuracy": masked_mean(right, true),
            "macro_f1": masked_mean(2 * right, true + predicted),
            "edit_score": times @ self.edit_scores / np.maximum(times.sum(axis=1), 1e-12),
            **{f"f1_at_{round(100 * overlap)}": f1[:, place] for place, overlap in enumerate(OVERLAPS)},
        }


def tally_frames(videos: Sequence[FrameScores], num_classes: int, background: int | None = None) -> FrameTally:
    """Count the frames and segments of every video; segments of the class `background` are left out."""
    rows = [video.labelled for video in videos]
    runs = [(runs_of(true, background), runs_of(predicted, background)) for true, predicted in rows]
    counts = np.array([[count_matches(*pair, overlap) for overlap in OVERLAPS] for pair in runs], np.int64)
    tables = [
        np.bincount(true * num_classes + predicted, minlength=num_classes**2).reshape(num_classes, num_classes)
        for true, predicted in rows
    ]
    return FrameTally(
        right=np.stack([table.diagonal() for table in tables]),
        true=np.stack([table.sum(axis=1) for table in tables]),
        predicted=np.stack([table.sum(axis=0) for table in tables]),
        confusion=np.sum(tables, axis=0),
        edit_scores=np.array([edit_score(*([run[0] for run in side] for side in pair)) for pair in runs]),
        true_positives=counts[:, :, 0],
        false_positives=counts[:, :, 1],
        false_negatives=counts[:, :, 2],
    )


def runs_of(classes: NDArray[np.int64], background: int | None = None) -> list[Run]:
    """Runs of equal classes, in order.

    >>> runs_of(np.array([4, 4, 0, 0, 0, 4]), background=0)
    [(4, 0, 2), (4, 5, 6)]
    """
    edges = np.flatnonzero(np.diff(classes)) + 1
    starts, ends = [0, *edges.tolist()], [*edges.tolist(), len(classes)]
    runs = [(int(classes[start]), start, end) for start, end in zip(starts, ends, strict=True) if end > start]
    return [run for run in runs if run[0] != background]


def edit_score(true: Sequence[int], predicted: Sequence[int]) -> float:
    """One minus the Levenshtein distance (insertions, deletions, substitutions), divided by the longer length.

    >>> edit_score([1, 2, 3], [1, 3])
    0.6666666666666667
    """
    longest = max(len(true), len(predicted))
    if not longest:
        return 1.0
    places = np.arange(len(predicted) + 1)
    answers = np.asarray(predicted, dtype=np.int64)
    distances = places
    for label in true:
        least = distances + 1  # left out
        least[1:] = np.minimum(least[1:], distances[:-1] + (answers != label))
        # An inserted label adds one to the distance before it, so a running minimum over (distance - place) takes any number.
        distances = np.minimum.accumulate(least - places) + places
    return 1 - float(distances[-1]) / longest


def count_matches(true: Sequence[Run], predicted: Sequence[Run], min_overlap: float) -> tuple[int, int, int]:
    """True positives, false positives and false negatives among the segments of a video.

    Args:
        true: the true segments.
        predicted: the predicted segments. Each is compared with the true one that it overlaps most; of several that are
            compared with the same one, only one is a true positive.
        min_overlap: the least intersection over union.
    """
    runs = sorted(true, key=lambda run: run[1:])
    starts, ends = (np.array([run[side] for run in runs], np.float64) for side in (1, 2))
    latest = np.maximum.accumulate(ends) if runs else ends
    first = np.searchsorted(latest, [run[1] for run in predicted], side="right").tolist()
    past = np.searchsorted(starts, [run[2] for run in predicted], side="left").tolist()
    matched: set[int] = set()
    for (label, start, end), low, high in zip(predicted, first, past, strict=True):
        best, best_overlap = -1, 0.0
        for index in range(low, high):  # those that it may overlap
            true_label, true_start, true_end = runs[index]
            shared = min(end, true_end) - max(start, true_start)
            overlap = shared / (max(end, true_end) - min(start, true_start)) if true_label == label else 0.0
            if overlap > best_overlap:
                best, best_overlap = index, overlap
        if best >= 0 and best_overlap >= min_overlap:
            matched.add(best)
    return len(matched), len(predicted) - len(matched), len(true) - len(matched)
