"""Timed labels: what is shown when, along a whole video. Rows of a manifest with `start` and `end` make them.

    path,label,start,end
    match.mp4,run,2.0,3.5
    match.mp4,jump,3.5,4.1

A video has one label at a time. Where no row covers a time, it shows the background, a class of its own, or is left out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from kinema.datasets.dataset import DataSet, first_few, path_within
from kinema.errors import DataError, VideoError
from kinema.labels import IGNORED, Labels
from kinema.types import TimeSpan
from kinema.video import open_video

if TYPE_CHECKING:
    from numpy.typing import NDArray

BACKGROUND = "background"

_ROUNDED_S = 0.1
"""Gaps and overlaps of neighbours below this are rounding in somebody's table."""
_EARLY_S = 1e-3
"""By so much a frame's time may be rounded (Matroska keeps milliseconds)."""

Named = tuple[TimeSpan | None, int]  # a span, None for the whole video, and its class


@dataclass(frozen=True, slots=True)
class TemporalLabels:
    """The labels of one video.

    Args:
        spans: when which class is shown, in order of their starts.
        elsewhere: the class of all other times, or `IGNORED`.

    >>> TemporalLabels(((TimeSpan(0.5, 1.0), 3),), elsewhere=7).at(np.array([0.4, 0.5, 0.9, 1.0])).tolist()
    [7, 3, 3, 7]
    """

    spans: tuple[Named, ...]
    elsewhere: int = IGNORED

    def at(self, times_s: NDArray[np.float64]) -> NDArray[np.int64]:
        """The class at each time; a span has its start and not its end."""
        classes = np.full(len(times_s), self.elsewhere, dtype=np.int64)
        for span, label in self.spans:
            inside = slice(None)
            if span is not None:
                inside = slice(*np.searchsorted(times_s, [span.start_s - _EARLY_S, span.end_s - _EARLY_S]))
            classes[inside] = label
        return classes

    def gaps_s(self, duration_s: float) -> float:
        """How much of the video, in seconds, no span covers."""
        if any(span is None for span, _ in self.spans):
            return 0.0
        covered = end_s = 0.0
        for span, _ in self.spans:
            assert span is not None
            covered += max(min(span.end_s, duration_s) - max(span.start_s, end_s), 0.0)
            end_s = max(end_s, span.end_s)
        return max(duration_s - covered, 0.0)


def temporal_labels(data: DataSet, background: str = BACKGROUND) -> dict[str, TemporalLabels]:
    """The labels of each video, by its path.

    Args:
        data: rows with spans; a row without one is about the whole video.
        background: the class of times that no row covers; where the data set has none of that name they are `IGNORED`.

    Raises:
        DataError: two labels at one time, or no spans at all.
    """
    if data.multi_label:
        do = "give each row one label: at each time a video shows one thing"
        raise DataError("some rows have several labels", data.root, do)
    if all(example.span is None for example in data.examples):
        raise DataError("no row has a start and an end", data.root, "a manifest says them in columns `start` and `end`")
    elsewhere = data.labels.index(background) if background in data.labels else IGNORED
    rows: defaultdict[str, list[Named]] = defaultdict(list)
    for example in data.examples:
        rows[example.path].append((example.span, data.labels.index(example.label)))
    return {
        path: TemporalLabels(_in_order(named, path_within(path, data.root)), elsewhere) for path, named in rows.items()
    }


def with_background(data: DataSet, name: str = BACKGROUND) -> DataSet:
    """The same rows with a class more, the last, if some time of some video has no label.

    Args:
        data: rows with spans.
        name: of the class; empty adds none.

    Raises:
        DataError: two labels at one time, a video in two parts, or no spans at all.
    """
    labels = temporal_labels(data, "")
    parts = {(example.path, example.split) for example in data.examples}
    torn = sorted(
        path_within(path, data.root) for path, count in Counter(path for path, _ in parts).items() if count > 1
    )
    if torn:
        do = "put all rows of a video into one part: what one leaves out would be background to the other"
        raise DataError(f"{len(torn)} videos stand in two parts", f"{data.root}, {first_few(torn)}", do)
    if not name or name in data.labels or not _has_gaps(labels):
        return data
    return replace(data, labels=Labels((*data.labels, name)))


def seconds_of_classes(labels: Mapping[str, TemporalLabels], num_classes: int) -> list[float]:
    """How long each class is shown, in all videos together; videos that cannot be read count what their rows say."""
    seconds = np.zeros(num_classes)
    for path, found in labels.items():
        duration_s = _duration_s(path)
        for span, label in found.spans:
            seconds[label] += span.duration_s if span is not None else duration_s or 0.0
        if found.elsewhere != IGNORED and duration_s is not None:
            seconds[found.elsewhere] += found.gaps_s(duration_s)
    return seconds.tolist()


def _in_order(named: Sequence[Named], path: str) -> tuple[Named, ...]:
    """Spans by their starts.

    Raises:
        DataError: two that overlap by more than rounding have different labels.
    """
    ordered = sorted(named, key=lambda row: (row[0] is not None, row[0] or TimeSpan(0, 1)))
    latest: Named | None = None
    for before, now in pairwise(ordered):
        latest = before if latest is None or _end_s(before) > _end_s(latest) else latest
        start_s = 0.0 if now[0] is None else now[0].start_s
        if min(_end_s(latest), _end_s(now)) - start_s > _ROUNDED_S and latest[1] != now[1]:
            do = "correct the times, or keep the label that matters more: at each time a video shows one thing"
            raise DataError("two labels at one time", f"{path} at {start_s:g} s", do)
    return tuple(ordered)


def _end_s(named: Named) -> float:
    return np.inf if named[0] is None else named[0].end_s


def _has_gaps(labels: Mapping[str, TemporalLabels]) -> bool:
    """Whether some time of some video has no label; files are opened only where the rows leave that open."""
    ends_s = {path: max(_end_s(named) for named in found.spans) for path, found in labels.items()}
    if any(found.gaps_s(ends_s[path]) > _ROUNDED_S for path, found in labels.items() if np.isfinite(ends_s[path])):
        return True
    durations = ((_duration_s(path), end_s) for path, end_s in ends_s.items() if np.isfinite(end_s))
    return any(duration_s is not None and duration_s - end_s > _ROUNDED_S for duration_s, end_s in durations)


def _duration_s(path: str) -> float | None:
    try:
        with open_video(path, threads=1) as video:
            return video.info.duration_s
    except VideoError:
        return None  # whoever reads the video reports it
