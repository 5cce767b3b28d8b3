"""Judging a label at every step of a film: by frames, and by the segments that they form.

Frame accuracy is what the field calls MoF, the share of all frames that are right. It forgives a label that flickers; the
two measures of Lea et al. (2017) do not. The edit score compares the order of segments alone: one minus the Levenshtein
distance between the two lists of labels, by the longer one's length, averaged over videos. F1@k takes a segment as found
if it overlaps a true one of its label with an intersection over union of at least k %; each true one is found once,
counts are summed over videos (as Abu Farha and Gall 2019 do). Segments of the background count in neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinema.errors import KinemaError
from kinema.evaluation.metrics import masked_mean
from kinema.labels import IGNORED

if TYPE_CHECKING:
    from numpy.typing import NDArray

OVERLAPS = (0.10, 0.25, 0.50)

Run = tuple[int, int, int]  # label, first step, one past the last


@dataclass(frozen=True, slots=True, eq=False)
class FrameScores:
    """Scores [n classes] at the steps of one video, and the true classes [n]; `IGNORED` where there is none.

    `group` names where the video comes from, such as a camera or a match; empty: it stands alone.

    Raises:
        ValueError: shapes that do not fit, or no step.
        KinemaError: scores that are not finite numbers.
    """

    key: str
    targets: NDArray[np.int64]
    scores: NDArray[np.float32]
    group: str = ""

    def __post_init__(self) -> None:
        if self.scores.ndim != 2 or self.targets.shape != self.scores.shape[:1] or not self.scores.size:
            raise ValueError(f"a target a step, got {self.targets.shape=}, {self.scores.shape=}")
        if not np.isfinite(self.scores).all():
            do = "the network has diverged (train it again with a lower learning rate) or needs --precision f32"
            raise KinemaError("the network's scores are not numbers", self.key, do)

    @property
    def judged(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """True and predicted classes of the steps that have a true one."""
        known = self.targets != IGNORED
        return self.targets[known], self.scores[known].argmax(axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class FrameTally:
    """What each of n videos adds to each figure.

    `right`, `carried`, `said` [n classes] count steps that are rightly predicted, true and predicted; `confusion` [true
    predicted] those of all videos; `edit` [n]; `found`, `false`, `missed` [n overlaps] count segments.
    """

    right: NDArray[np.int64]
    carried: NDArray[np.int64]
    said: NDArray[np.int64]
    confusion: NDArray[np.int64]
    edit: NDArray[np.float64]
    found: NDArray[np.int64]
    false: NDArray[np.int64]
    missed: NDArray[np.int64]

    def figures(self, weights: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
        """The figures when video i counts `weights[b, i]` times: all ones give the plain figures.

        Args:
            weights: [b n].

        Returns:
            name -> [b]
        """
        times = weights.astype(np.float64)
        right, carried, said = times @ self.right, times @ self.carried, times @ self.said
        found, false, missed = times @ self.found, times @ self.false, times @ self.missed
        f1 = 2 * found / np.maximum(2 * found + false + missed, 1e-12)
        return {
            "frame_accuracy": right.sum(axis=1) / np.maximum(carried.sum(axis=1), 1e-12),
            "mean_class_accuracy": masked_mean(right, carried),
            "macro_f1": masked_mean(2 * right, carried + said),
            "edit_score": times @ self.edit / np.maximum(times.sum(axis=1), 1e-12),
            **{f"f1_at_{round(100 * overlap)}": f1[:, place] for place, overlap in enumerate(OVERLAPS)},
        }


def tally_frames(videos: Sequence[FrameScores], num_classes: int, background: int | None = None) -> FrameTally:
    """Count steps and segments of every video; `background` is the class whose segments are left out."""
    rows = [video.judged for video in videos]
    runs = [(runs_of(true, background), runs_of(said, background)) for true, said in rows]
    counts = np.array([[overlap_counts(true, said, least) for least in OVERLAPS] for true, said in runs], np.int64)
    tables = [_confusion(true, said, num_classes) for true, said in rows]
    return FrameTally(
        right=np.stack([table.diagonal() for table in tables]),
        carried=np.stack([table.sum(axis=1) for table in tables]),
        said=np.stack([table.sum(axis=0) for table in tables]),
        confusion=np.sum(tables, axis=0),
        edit=np.array([edit_score([run[0] for run in true], [run[0] for run in said]) for true, said in runs]),
        found=counts[:, :, 0],
        false=counts[:, :, 1],
        missed=counts[:, :, 2],
    )


def runs_of(classes: NDArray[np.int64], background: int | None = None) -> list[Run]:
    """Stretches of one class, in order.

    >>> runs_of(np.array([4, 4, 0, 0, 0, 4]), background=0)
    [(4, 0, 2), (4, 5, 6)]
    """
    edges = np.flatnonzero(np.diff(classes)) + 1
    starts, ends = [0, *edges.tolist()], [*edges.tolist(), len(classes)]
    runs = [(int(classes[start]), start, end) for start, end in zip(starts, ends, strict=True) if end > start]
    return [run for run in runs if run[0] != background]


def edit_score(true: Sequence[int], said: Sequence[int]) -> float:
    """One minus the least number of insertions, removals and exchanges that make one list the other, by the longer's length.

    >>> edit_score([1, 2, 3], [1, 3])
    0.6666666666666667
    """
    longest = max(len(true), len(said))
    if not longest:
        return 1.0
    distances = np.arange(len(said) + 1)
    for place, label in enumerate(true, 1):
        before = distances
        distances = np.empty_like(before)
        distances[0] = place
        changed = before[:-1] + (np.asarray(said, dtype=np.int64) != label)
        for column in range(1, len(said) + 1):
            distances[column] = min(changed[column - 1], before[column] + 1, distances[column - 1] + 1)
    return 1 - float(distances[-1]) / longest


def overlap_counts(true: Sequence[Run], said: Sequence[Run], least: float) -> tuple[int, int, int]:
    """Segments that were found, predicted ones that are none, and true ones that were missed.

    Args:
        true: the true segments of a video.
        said: the predicted ones. Each stands for the true one that it overlaps most; of several, one has found it.
        least: intersection over union that is enough.
    """
    taken: set[int] = set()
    for run in said:
        overlaps = [_overlap(run, other) for other in true]
        best = int(np.argmax(overlaps)) if overlaps else -1
        if best >= 0 and overlaps[best] >= least:
            taken.add(best)
    return len(taken), len(said) - len(taken), len(true) - len(taken)


def _overlap(one: Run, other: Run) -> float:
    shared = min(one[2], other[2]) - max(one[1], other[1])
    if one[0] != other[0] or shared <= 0:
        return 0.0
    return shared / (max(one[2], other[2]) - min(one[1], other[1]))


def _confusion(true: NDArray[np.int64], said: NDArray[np.int64], num_classes: int) -> NDArray[np.int64]:
    """Steps [true predicted]."""
    return np.bincount(true * num_classes + said, minlength=num_classes**2).reshape(num_classes, num_classes)
