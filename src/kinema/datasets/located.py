"""Videos with located actions: any number of them in each video, none and overlapping ones included.

    data = open_data("thumos14/", format="activitynet")
    located = located_set(data.part("train"))
    located.videos[0].segments    # (Segment(span=TimeSpan(start_s=1.2, end_s=3.4), label="HighJump", score=1.0), …)

A `DataSet` lists a row for each action. A `LocatedSet` has the same actions video by video.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace

from kinema.datasets.dataset import PARTS, DataSet, find_part, first_few, path_within
from kinema.datasets.durations import video_duration_s
from kinema.datasets.opening import open_data
from kinema.errors import DataError
from kinema.labels import Labels
from kinema.predictions import Segment
from kinema.types import IMAGE_FPS, Example, TimeSpan


@dataclass(frozen=True, slots=True)
class LocatedVideo:
    """A video and its actions, by ascending start; they may overlap, and there may be none.

    `part` is "train", "valid", "test" or None; `group` names the source, which a split never divides.
    """

    path: str
    segments: tuple[Segment, ...]
    part: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class LocatedSet:
    """Videos with located actions, and their classes in the order of a network's outputs.

    `root` is the folder or file it was opened from, `image_fps` the frame rate of videos that are folders of pictures.
    """

    name: str
    root: str
    videos: tuple[LocatedVideo, ...]
    labels: Labels
    image_fps: float = IMAGE_FPS

    def __len__(self) -> int:
        return len(self.videos)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that have videos, in the order train, valid, test."""
        return tuple(part for part in PARTS if any(video.part == part for video in self.videos))

    def part(self, name: str) -> LocatedSet:
        """The videos of one part.

        Raises:
            UnknownName: no such part.
            DataError: the part is empty.
        """
        part = find_part(name, self.parts, self.root)
        return replace(self, videos=tuple(video for video in self.videos if video.part == part))

    def counts(self) -> dict[str, int]:
        """Number of actions of each class, in the order of `labels`."""
        counted = Counter(segment.label for video in self.videos for segment in video.segments)
        return {label: counted[label] for label in self.labels}


def located_set(data: DataSet, background: Collection[str] = ()) -> LocatedSet:
    """The actions of a data set, video by video in the order of its rows. Files are opened only for rows without times.

    Args:
        data: a row with labels and times is an action of each of its labels; one without times lasts the whole video; one
            without labels only says that there is this video.
        background: classes that are no actions. Their rows are left out; their videos stay.

    Raises:
        DataError: a video is in two parts, no class is left, or a row without times is about a file that cannot be read.
        UnknownName: a name in `background` that is no class.
    """
    for name in background:
        data.labels.index(name)
    by_path: defaultdict[str, list[Example]] = defaultdict(list)
    for example in data.examples:
        by_path[example.path].append(example)
    torn = [path_within(path, data.root) for path, rows in by_path.items() if len({e.split for e in rows}) > 1]
    if torn:
        do = "put all rows of a video into one part"
        raise DataError(f"{len(torn)} videos are in two parts", f"{data.root}, {first_few(torn)}", do)
    labels = Labels(tuple(label for label in data.labels if label not in background))
    if not labels:
        raise DataError("no class is left besides the background", data.root, "name fewer classes as background")
    videos = tuple(
        LocatedVideo(path, _segments(rows, background, data), rows[0].split, _common_group(rows))
        for path, rows in by_path.items()
    )
    return LocatedSet(data.name, data.root, videos, labels, data.image_fps)


def open_located(
    path: str | os.PathLike[str],
    *,
    format: str = "auto",
    labels: Labels | None = None,
    tiers: Collection[str] = (),
    background: Collection[str] = (),
    image_fps: float = IMAGE_FPS,
) -> LocatedSet:
    """Open videos with located actions.

    Args:
        path: a manifest, ActivityNet's JSON, BORIS's tables or project, ELAN's .eaf files, or a folder with one of them.
        format: one of `kinema.choices.DATA_FORMATS`; "auto" detects it by content.
        labels: classes that the actions must fit.
        tiers: tiers of ELAN files that hold actions; all by default.
        background: classes that are no actions, see `located_set`.
        image_fps: frame rate of folders of pictures.

    Raises:
        DataError: it cannot be read, or a row is wrong; says which.
    """
    data = open_data(path, format=format, labels=labels, tiers=tuple(tiers), image_fps=image_fps)
    return located_set(data, background)


def _segments(rows: list[Example], background: Collection[str], data: DataSet) -> tuple[Segment, ...]:
    found = []
    for row in rows:
        labels = [label for label in row.labels if label not in background]
        span = row.span or (_whole_video(row.path, data.image_fps) if labels else None)
        found += [Segment(span, label, 1.0) for label in labels if span is not None]
    return tuple(sorted(found, key=lambda segment: (segment.span, segment.label)))


def _whole_video(path: str, image_fps: float) -> TimeSpan:
    duration_s = video_duration_s(path, image_fps)
    if not duration_s:
        raise DataError("a row without times is about the whole video, which cannot be read", path, "give it times")
    return TimeSpan(0.0, duration_s)


def _common_group(rows: list[Example]) -> str | None:
    """The group of a video: that of its rows, several joined by "+" (the people in it, say)."""
    return "+".join(sorted({row.group for row in rows if row.group})) or None
