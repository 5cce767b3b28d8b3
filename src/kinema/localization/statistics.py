"""Counts from segments: how often and how long each label occurs, when first and last, and the gaps between its segments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.predictions import Segment


@dataclass(frozen=True, slots=True)
class LabelStatistics:
    """What the segments of one label amount to. Times are in seconds from the start of the video.

    Args:
        label: its name.
        count: number of segments.
        num_sources: videos (or persons) with at least one of them.
        total_s: time in at least one of them; where they overlap, it counts once.
        mean_s: mean length.
        shortest_s: length of the shortest.
        longest_s: length of the longest.
        first_s: earliest start.
        last_s: latest end.
        mean_gap_s: mean time from the end of one to the start of the next in a video; None if no two have time between them.
        longest_gap_s: the longest such time.
    """

    label: str
    count: int
    num_sources: int
    total_s: float
    mean_s: float
    shortest_s: float
    longest_s: float
    first_s: float
    last_s: float
    mean_gap_s: float | None
    longest_gap_s: float | None

    def to_json(self) -> dict[str, object]:
        """A plain dictionary; times are rounded to milliseconds."""
        return {name: round(one, 3) if isinstance(one, float) else one for name, one in asdict(self).items()}


def label_statistics(segments: Mapping[str, Sequence[Segment]]) -> tuple[LabelStatistics, ...]:
    """Statistics of each label, the most frequent first, then in the order of names.

    Args:
        segments: of each video, or of each person, by name. Give one alone for its own statistics.

    >>> from kinema.predictions import Segment
    >>> from kinema.types import TimeSpan
    >>> jumps = [Segment(TimeSpan(1, 2), "jump", 0.9), Segment(TimeSpan(5, 8), "jump", 0.8)]
    >>> found = label_statistics({"v.mp4": jumps})[0]
    >>> found.count, found.total_s, found.first_s, found.last_s, found.longest_gap_s
    (2, 4.0, 1.0, 8.0, 3.0)
    """
    spans: dict[str, dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for source, found in segments.items():
        for segment in found:
            spans[segment.label][source].append((segment.span.start_s, segment.span.end_s))
    rows = [_of_label(label, [np.array(sorted(one)) for one in by.values()]) for label, by in spans.items()]
    return tuple(sorted(rows, key=lambda row: (-row.count, row.label)))


def _of_label(label: str, sources: Sequence[NDArray[np.float64]]) -> LabelStatistics:
    """From starts and ends [n 2] in the order of starts, for each video."""
    joined = np.concatenate(sources)
    lengths = joined[:, 1] - joined[:, 0]
    # The time between a segment and all that began before it; negative where they overlap.
    between = np.concatenate([spans[1:, 0] - np.maximum.accumulate(spans[:-1, 1]) for spans in sources])
    gaps = between[between > 0]
    covered = sum(float(spans[:, 1].max() - spans[0, 0]) for spans in sources) - float(gaps.sum())
    return LabelStatistics(
        label=label, count=len(joined), num_sources=len(sources), total_s=covered,
        mean_s=float(lengths.mean()), shortest_s=float(lengths.min()), longest_s=float(lengths.max()),
        first_s=float(joined[:, 0].min()), last_s=float(joined[:, 1].max()),
        mean_gap_s=float(gaps.mean()) if len(gaps) else None,
        longest_gap_s=float(gaps.max()) if len(gaps) else None,
    )  # fmt: skip
