"""Segments of many videos as columns, and their temporal intersection over union (tIoU)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinema.errors import DataError
from kinema.predictions import Segment
from kinema.types import TimeSpan

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class SegmentTable:
    """n segments of any number of videos.

    Args:
        videos: the video of each segment [n].
        labels: the label of each segment [n].
        times_s: start and end of each segment in seconds [n 2].
        scores: the score of each segment [n]; ones for truth.

    Raises:
        DataError: a time or score that is not finite, or an end before its start.
    """

    videos: NDArray[np.str_]
    labels: NDArray[np.str_]
    times_s: NDArray[np.float64]
    scores: NDArray[np.float64]

    def __post_init__(self) -> None:
        bad = ~np.isfinite(self.times_s).all(axis=1) | ~np.isfinite(self.scores) | (np.diff(self.times_s)[:, 0] < 0)
        if bad.any():
            row = int(bad.argmax())
            start_s, end_s = self.times_s[row]
            where = f"{self.videos[row]}: {self.labels[row]} {start_s} to {end_s}, score {self.scores[row]}"
            raise DataError("a segment needs finite times and score, and an end after its start", where)

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def of(cls, videos: Mapping[str, Sequence[Segment]]) -> SegmentTable:
        """The segments of each video."""
        rows = [(name, segment) for name, segments in videos.items() for segment in segments]
        return cls(
            np.array([name for name, _ in rows], dtype=np.str_),
            np.array([segment.label for _, segment in rows], dtype=np.str_),
            np.array([(s.span.start_s, s.span.end_s) for _, s in rows], dtype=np.float64).reshape(-1, 2),
            np.array([segment.score for _, segment in rows], dtype=np.float64),
        )

    def segments(self) -> dict[str, list[Segment]]:
        """The inverse of `of`; rows without a length are left out."""
        videos: dict[str, list[Segment]] = {}
        columns = (self.videos.tolist(), self.labels.tolist(), self.times_s.tolist(), self.scores.tolist())
        for video, label, (start_s, end_s), score in zip(*columns, strict=True):
            if end_s > start_s:
                videos.setdefault(video, []).append(Segment(TimeSpan(start_s, end_s), label, score))
        return videos

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> SegmentTable:
        """Some of the rows, by mask or by index."""
        return SegmentTable(self.videos[rows], self.labels[rows], self.times_s[rows], self.scores[rows])

    def by_score(self) -> SegmentTable:
        """The rows from the highest score to the lowest; equal scores keep their order."""
        return self.take(np.argsort(-self.scores, kind="stable"))

    def without_doubles(self, tolerance_s: float = 1e-3) -> SegmentTable:
        """Leave out rows whose video, label and times, within a tolerance, an earlier row has."""
        names, labels = (np.unique(column, return_inverse=True)[1] for column in (self.videos, self.labels))
        order = np.lexsort((self.times_s[:, 0], labels, names))
        alike = (np.diff(names[order]) == 0) & (np.diff(labels[order]) == 0)
        alike &= np.diff(self.times_s[order, 0]) <= tolerance_s
        near = np.zeros(
            len(self), np.bool_
        )  # rows beside one of their video and label that starts at about the same time
        near[order[1:]] |= alike
        near[order[:-1]] |= alike
        seen: defaultdict[tuple[int, int, int, int], list[tuple[float, float]]] = defaultdict(list)
        kept = np.ones(len(self), np.bool_)
        cells = np.floor(self.times_s / tolerance_s).astype(np.int64)  # near times are in cells side by side
        for row in np.flatnonzero(near).tolist():
            (start_s, end_s), (first, last) = self.times_s[row].tolist(), cells[row].tolist()
            group = int(names[row]), int(labels[row])
            earlier = (seen.get((*group, first + i, last + j), ()) for i in (-1, 0, 1) for j in (-1, 0, 1))
            if any(abs(a - start_s) <= tolerance_s and abs(b - end_s) <= tolerance_s for o in earlier for a, b in o):
                kept[row] = False
            else:
                seen[*group, first, last].append((start_s, end_s))
        return self.take(kept)

    def by_video(self) -> dict[str, NDArray[np.int64]]:
        """The indices of each video's rows, in order."""
        order = np.argsort(self.videos, kind="stable")
        names, starts = np.unique(self.videos[order], return_index=True)
        return dict(zip(names.tolist(), np.split(order, starts[1:]), strict=False)) if len(self) else {}


def tiou(first_s: NDArray[np.float64], second_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of segments [n 2] with segments [m 2] in seconds: [n m]; 0 where both are empty."""
    shared = np.minimum(first_s[:, None, 1], second_s[None, :, 1]) - np.maximum(
        first_s[:, None, 0], second_s[None, :, 0]
    )
    shared = np.maximum(shared, 0)
    union = np.diff(first_s) + np.diff(second_s)[:, 0] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def classes_of(truth: SegmentTable, predictions: SegmentTable) -> Iterator[tuple[str, SegmentTable, SegmentTable]]:
    """For each class of the truth, in order of name: the class, its truth, its predictions by score."""
    ranked = predictions.by_score()
    for name in np.unique(truth.labels).tolist():
        yield name, truth.take(truth.labels == name), ranked.take(ranked.labels == name)
