"""What may be wrong with the times of located actions: after the end of the video, overlapping in one class, in one part only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kinema.datasets.dataset import DataSet, path_within
from kinema.types import TimeSpan

_TOLERATED_S = 0.1
"""Lists round times, and a video ends between two frames."""


@dataclass(frozen=True, slots=True)
class LocatedReport:
    """What was found.

    Args:
        num_actions: actions, one for each label of each span.
        num_videos_without_actions: videos in which nothing happens.
        past_end: actions that end after their video.
        overlapping: actions that overlap another one of their class in their video.
        in_one_part: classes that only one of several parts has.
    """

    num_actions: int
    num_videos_without_actions: int
    past_end: tuple[str, ...]
    overlapping: tuple[str, ...]
    in_one_part: tuple[str, ...]


def check_located(data: DataSet, durations_s: Mapping[str, float]) -> LocatedReport | None:
    """Compare actions with their videos and with each other.

    Args:
        data: examples with times; None is the result if no example has any.
        durations_s: length of each video that can be read, by path.
    """
    if all(example.span is None for example in data.examples):
        return None
    actions: defaultdict[tuple[str, str], list[TimeSpan]] = defaultdict(list)
    for example in data.examples:
        for label in example.labels if example.span else ():
            actions[example.path, label].append(example.span or TimeSpan(0, 1))
    busy = {example.path for example in data.examples if example.labels}
    parts = {part: data.part(part).counts() for part in data.parts}
    found = {label: [part for part, counts in parts.items() if counts[label]] for label in data.labels}
    return LocatedReport(
        num_actions=sum(map(len, actions.values())),
        num_videos_without_actions=len({example.path for example in data.examples} - busy),
        past_end=tuple(_past_end(data, actions, durations_s)),
        overlapping=tuple(_overlapping(data, actions)),
        in_one_part=tuple(f"{label}: {where[0]}" for label, where in found.items() if len(parts) > 1 == len(where)),
    )


def _past_end(
    data: DataSet, actions: Mapping[tuple[str, str], list[TimeSpan]], durations_s: Mapping[str, float]
) -> Iterator[str]:
    for (path, label), spans in actions.items():
        length_s = durations_s.get(path, float("inf"))
        for span in spans:
            if span.end_s > length_s + _TOLERATED_S:
                name = path_within(path, data.root)
                yield f"{name}: {label} from {span.start_s:g} to {span.end_s:g} s, but the video ends at {length_s:g} s"


def _overlapping(data: DataSet, actions: Mapping[tuple[str, str], list[TimeSpan]]) -> Iterator[str]:
    for (path, label), spans in actions.items():
        ordered = sorted(spans)
        longest = ordered[0]
        for span in ordered[1:]:
            if span.start_s < longest.end_s:
                both = f"{longest.start_s:g} to {longest.end_s:g} s and {span.start_s:g} to {span.end_s:g} s"
                yield f"{path_within(path, data.root)}: {label} from {both}"
            longest = max(longest, span, key=lambda one: one.end_s)
