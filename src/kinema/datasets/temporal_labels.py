"""Temporal labels: the class at each time of a video, from manifest rows with `start` and `end`.

    path,label,start,end
    match.mp4,run,2.0,3.5
    match.mp4,jump,3.5,4.1

A video has one label at a time. Times that no row covers belong to a background class, or are ignored.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from kinema.datasets.dataset import DataSet, first_few, path_within
from kinema.datasets.durations import video_duration_s
from kinema.errors import DataError
from kinema.labels import IGNORED, Labels
from kinema.types import IMAGE_FPS, TimeSpan

if TYPE_CHECKING:
    from numpy.typing import NDArray

BACKGROUND = "background"

_NEGLIGIBLE_S = 0.1
"""Gaps and overlaps of neighbouring spans below this come from rounded tables and are ignored."""
_TIME_ROUNDING_S = 1e-3
"""Frame times may be rounded down by this much (Matroska stores milliseconds)."""

SpanLabel = tuple[TimeSpan | None, int]
"""A time span, or None for the whole video, and its class."""


@dataclass(frozen=True, slots=True)
class TemporalLabels:
    """The labels of one video.

    Args:
        spans: time spans with their classes, by ascending start.
        elsewhere: the class of all other times, or `IGNORED`.
        image_fps: frame rate if the video is a folder of pictures.

    >>> TemporalLabels(((TimeSpan(0.5, 1.0), 3),), elsewhere=7).at(np.array([0.4, 0.5, 0.9, 1.0])).tolist()
    [7, 3, 3, 7]
    """

    spans: tuple[SpanLabel, ...]
    elsewhere: int = IGNORED
    image_fps: float = IMAGE_FPS

    def at(self, times_s: NDArray[np.float64]) -> NDArray[np.int64]:
        """The class at each time; spans are half-open, [start, end)."""
        classes = np.full(len(times_s), self.elsewhere, dtype=np.int64)
        for span, label in self.spans:
            inside = slice(None)
            if span is not None:
                edges_s = [span.start_s - _TIME_ROUNDING_S, span.end_s - _TIME_ROUNDING_S]
                inside = slice(*np.searchsorted(times_s, edges_s))
            classes[inside] = label
        return classes

    def gaps_s(self, duration_s: float) -> float:
        """Seconds of the video that no span covers."""
        covered = end_s = 0.0
        for span, _ in self.spans:
            if span is None:
                return 0.0
            covered += max(min(span.end_s, duration_s) - max(span.start_s, end_s), 0.0)
            end_s = max(end_s, span.end_s)
        return max(duration_s - covered, 0.0)


def temporal_labels(data: DataSet, background: str = BACKGROUND) -> dict[str, TemporalLabels]:
    """The labels of each video, by its path.

    Args:
        data: rows with spans; a row without a span labels the whole video.
        background: the class of times that no row covers; if the data set has no class of this name, they are `IGNORED`.

    Raises:
        DataError: two labels at one time, or no spans at all.
    """
    if data.multi_label:
        do = "give each row one label: a video has one label at a time"
        raise DataError("some rows have several labels", data.root, do)
    if all(example.span is None for example in data.examples):
        do = "give them in the manifest's columns `start` and `end`"
        raise DataError("no row has a start and an end", data.root, do)
    elsewhere = data.labels.index(background) if background in data.labels else IGNORED
    rows: defaultdict[str, list[SpanLabel]] = defaultdict(list)
    for example in data.examples:
        rows[example.path].extend((example.span, data.labels.index(label)) for label in example.labels)
    return {
        path: TemporalLabels(_sort(spans, path_within(path, data.root)), elsewhere, data.image_fps)
        for path, spans in rows.items()
    }


def with_background(data: DataSet, name: str = BACKGROUND) -> DataSet:
    """Adds a background class, the last, if some time of some video has no label.

    Args:
        data: rows with spans.
        name: name of the background class; empty adds none.

    Raises:
        DataError: two labels at one time, a video in two parts, or no spans at all.
    """
    labels = temporal_labels(data, "")
    parts = {(example.path, example.split) for example in data.examples}
    counts = Counter(path for path, _ in parts)
    torn = sorted(path_within(path, data.root) for path, count in counts.items() if count > 1)
    if torn:
        do = "put all rows of a video into one part: rows of the other part would count as background"
        raise DataError(f"{len(torn)} videos are in two parts", f"{data.root}, {first_few(torn)}", do)
    if not name or name in data.labels:
        return data
    ends_s = {path: max((_end_s(span) for span, _ in found.spans), default=0.0) for path, found in labels.items()}
    bounded = {path: end_s for path, end_s in ends_s.items() if np.isfinite(end_s)}
    # Files are opened only if the rows themselves have no gap: then a gap can only be at the end of a video.
    has_gaps = any(labels[path].gaps_s(end_s) > _NEGLIGIBLE_S for path, end_s in bounded.items()) or any(
        (video_duration_s(path, data.image_fps) or 0.0) - end_s > _NEGLIGIBLE_S for path, end_s in bounded.items()
    )
    return replace(data, labels=Labels((*data.labels, name))) if has_gaps else data


def seconds_of_classes(labels: Mapping[str, TemporalLabels], num_classes: int) -> list[float]:
    """The seconds of each class in all videos; of videos that cannot be read, only the rows with a span count."""
    seconds = np.zeros(num_classes)
    for path, found in labels.items():
        duration_s = video_duration_s(path, found.image_fps)
        for span, label in found.spans:
            seconds[label] += span.duration_s if span is not None else duration_s or 0.0
        if found.elsewhere != IGNORED and duration_s is not None:
            seconds[found.elsewhere] += found.gaps_s(duration_s)
    return seconds.tolist()


def _sort(spans: Sequence[SpanLabel], path: str) -> tuple[SpanLabel, ...]:
    """Spans by ascending start, a label of the whole video first. No two labels may overlap by more than rounding."""
    ordered = sorted(spans, key=lambda row: (row[0] is not None, row[0] or TimeSpan(0, 1)))
    latest: SpanLabel | None = None
    for before, now in pairwise(ordered):
        latest = before if latest is None or _end_s(before[0]) > _end_s(latest[0]) else latest
        start_s = 0.0 if now[0] is None else now[0].start_s
        if min(_end_s(latest[0]), _end_s(now[0])) - start_s > _NEGLIGIBLE_S and latest[1] != now[1]:
            do = "correct the times, or keep the more important label: a video has one label at a time"
            raise DataError("two labels at one time", f"{path} at {start_s:g} s", do)
    return tuple(ordered)


def _end_s(span: TimeSpan | None) -> float:
    return np.inf if span is None else span.end_s
