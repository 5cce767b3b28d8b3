"""Boxes of persons with actions at key frames, in the format of AVA (Gu et al. 2018), and detected boxes for them.

A file has a row for each label of a person, `video,time stamp,left,top,right,bottom,label[,person]`, and a row of two cells for a
key frame without persons. What such files leave open stands in a file `boxes.json` beside them, and is never guessed:

    {"videos": "videos", "labels": "labels.pbtxt", "parts": {"train": "train.csv", "valid": "val.csv"},
     "boxes": "normalised", "time_offset_s": 900, "key_frame_step_s": 1}

`boxes` is `normalised` (shares of the frame, 0 to 1) or `pixels`. `time_offset_s` is the time stamp at which the video files
begin: AVA's are cut out from 900 s on. `key_frame_step_s` are the seconds between key frames. Optional are `ignored_labels`, a
list of label numbers, and `excluded`, a file of key frames `video,time stamp`; both are left out.
"""

from __future__ import annotations

import csv
import itertools
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from kinema.boxes import box_iou
from kinema.datasets.dataset import DataSet
from kinema.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

BoxUnit = Literal["normalised", "pixels"]

MATCH = 0.5
"""A detected box with at least this IoU with a true one has its labels; others have none."""

_ROUNDING = 0.01
"""How far a box may reach beyond the frame, as a share of it; it is then cut off there."""
_CELLS = "give video,time,left,top,right,bottom,label and, if known, the person; or video,time for none"


@dataclass(frozen=True, slots=True)
class BoxRow:
    """One row of a file: a box with a label, or a key frame without persons (`box` is None). `where` is its file and line."""

    video: str
    stamp_s: float
    box: tuple[float, float, float, float] | None
    label: str
    extra: str
    where: str


def read_box_rows(path: str | Path) -> Iterator[BoxRow]:
    """The rows of a file in AVA's format; boxes are as they stand there.

    Raises:
        DataError: the file cannot be read, or a row is not of this format, with its line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("cannot read this table of boxes", path, "give a CSV file in UTF-8") from error
    for number, cells in enumerate(csv.reader(text.splitlines(), skipinitialspace=True), start=1):
        if any(map(str.strip, cells)):
            yield _read_row([cell.strip() for cell in cells], f"{path}, line {number}")


def _read_row(cells: list[str], where: str) -> BoxRow:
    numbers = cells[1:6] if any(cells[2:6]) else cells[1:2]
    if len(cells) > 8 or len(numbers) not in (1, 5) or not cells[0]:
        raise DataError(f"{len(cells)} cells are no row of boxes", where, _CELLS)
    values = [_number(cell, where) for cell in numbers]
    label, extra = (*cells[6:8], "", "")[:2]
    if len(values) == 1:
        return BoxRow(cells[0], values[0], None, "", "", where)
    box = (values[1], values[2], values[3], values[4])
    if not (box[0] < box[2] and box[1] < box[3]):
        raise DataError(f"a box needs left < right and top < bottom, got {', '.join(cells[2:6])}", where, "correct it")
    return BoxRow(cells[0], values[0], box, label, extra, where)


def _number(cell: str, where: str) -> float:
    try:
        value = float(cell)
    except ValueError as error:
        raise DataError(f"{cell!r} is no number", where, _CELLS) from error
    if not math.isfinite(value):
        raise DataError(f"{cell} is no coordinate or time", where, "correct the row or remove it")
    return value


def read_label_map(path: str | Path) -> dict[str, str]:
    """Names by number from a label map (.pbtxt): `item { name: "stand" id: 12 }`, or `label` with `label_id`.

    Raises:
        DataError: it cannot be read, holds no label, or a number twice.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("cannot read this label map", path, "give a text file of `item {…}` in UTF-8") from error
    labels: dict[str, str] = {}
    for block in re.findall(r"\{([^{}]*)\}", text):
        name, number = re.search(r"name:\s*(\"|')(.*?)\1", block), re.search(r"\b(?:label_)?id:\s*(\d+)", block)
        if name is None or number is None:
            raise DataError(
                f"no name and id in {{{' '.join(block.split())}}}", path, 'write item { name: "stand" id: 12 }'
            )
        if number[1] in labels:
            raise DataError(f"two labels have the id {number[1]}", path, "give each label its own")
        labels[number[1]] = name[2]
    if not labels:
        raise DataError("no labels", path, 'write item { name: "stand" id: 12 } for each')
    return labels


@dataclass(frozen=True, slots=True, eq=False)
class KeyFrame:
    """The persons in one frame of a video.

    Args:
        time_s: by the video's own time.
        boxes: left, top, right, bottom [n 4] as shares of the frame, 0 to 1; n may be 0.
        labels: the names of each person's labels.
        persons: their identities, empty where unknown.
        where: file and line of the first row.
    """

    time_s: float
    boxes: NDArray[np.float64]
    labels: tuple[tuple[str, ...], ...]
    persons: tuple[str, ...]
    where: str


@dataclass(frozen=True, slots=True, eq=False)
class FoundBoxes:
    """Detected boxes of a key frame: shares of the frame [n 4], and their scores [n]."""

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]


NO_BOXES = FoundBoxes(np.empty((0, 4)), np.empty(0))


@dataclass(frozen=True)
class BoxReading:
    """How the rows of files are read; see the head of this module.

    `videos` are paths by the name in the rows.
    """

    unit: BoxUnit
    time_offset_s: float
    key_frame_step_s: float
    videos: Mapping[str, str]
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Height and width by path, for boxes in pixels."""

    def time_s(self, row: BoxRow) -> float:
        """The time of a row in its video."""
        time_s = row.stamp_s - self.time_offset_s
        if time_s < -1e-6:
            what = f"time stamp {row.stamp_s:g} is before the offset of {self.time_offset_s:g} s"
            raise DataError(what, row.where, "correct time_offset_s in boxes.json")
        return max(time_s, 0.0)

    def shares(self, row: BoxRow) -> tuple[float, ...]:
        """The box of a row as shares of the frame."""
        assert row.box is not None
        height, width = (1, 1) if self.unit == "normalised" else self.sizes.get(self.videos[row.video], (0, 0))
        if not height:
            raise DataError(
                "boxes in pixels need a video that can be opened", row.where, "repair the video or remove its rows"
            )
        across, down = row.box[2] / width, row.box[3] / height
        if max(across, down) > 1 + _ROUNDING or min(row.box) < -_ROUNDING * max(height, width):
            if self.unit == "normalised":
                do = 'if they are pixels, write "boxes": "pixels" in boxes.json'
                raise DataError(f"a normalised box lies outside 0 to 1: {row.box}", row.where, do)
            do = f"the video is {width} wide and {height} high; correct the box"
            raise DataError(f"a box lies outside the frame: {row.box}", row.where, do)
        corners = np.array(row.box) / (width, height, width, height)
        return tuple(corners.clip(0, 1).tolist())


@dataclass(frozen=True)
class BoxSet(DataSet):
    """A data set whose examples are key frames, with a `span` of one step around each.

    Args:
        key_frames: by the key of their example.
        reading: how boxes and time stamps in further files are read.
        found: detected boxes by the key of their example, which replace true ones when a network is judged; None for none.
    """

    key_frames: Mapping[str, KeyFrame] = field(default_factory=dict)
    reading: BoxReading = field(default_factory=lambda: BoxReading("normalised", 0, 1, {}))
    found: Mapping[str, FoundBoxes] | None = None

    def targets_of(self, labels: tuple[str, ...]) -> NDArray[np.float32]:
        """The labels of a person as a row [classes] of zeros and ones."""
        row = np.zeros(len(self.labels), np.float32)
        row[[self.labels.index(label) for label in labels]] = 1
        return row

    def to_learn(self, key: str) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """The boxes [n 4] of a key frame to learn from, and the labels [n classes] of each.

        With detected boxes these are the true and the detected ones; a detected box has the labels of the true one that it
        overlaps most, or none.
        """
        true, _, targets = replace(self, found=None).to_judge(key)
        if self.found is None:
            return true, targets
        found = self.found.get(key, NO_BOXES)
        return np.concatenate([true, found.boxes]), np.concatenate([targets, self.matched(key, targets)])

    def to_judge(self, key: str) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
        """The boxes [n 4] of a key frame that a network is judged on, their scores [n] and their labels [n classes].

        These are the detected boxes if there are some for the data, else the true ones with a score of 1.
        """
        frame = self.key_frames[key]
        targets = np.array([self.targets_of(labels) for labels in frame.labels], np.float32)
        targets = targets.reshape(len(frame.labels), len(self.labels))
        if self.found is None:
            return frame.boxes, np.ones(len(frame.boxes)), targets
        found = self.found.get(key, NO_BOXES)
        return found.boxes, found.scores, self.matched(key, targets)

    def matched(self, key: str, targets: NDArray[np.float32]) -> NDArray[np.float32]:
        """The labels [m classes] of the detected boxes of a key frame, from those of its true ones [n classes]."""
        found = NO_BOXES if self.found is None else self.found.get(key, NO_BOXES)
        overlaps = box_iou(found.boxes, self.key_frames[key].boxes)
        if not overlaps.size:
            return np.zeros((len(found.scores), targets.shape[1]), np.float32)
        return np.where(overlaps.max(axis=1, keepdims=True) >= MATCH, targets[overlaps.argmax(axis=1)], 0)


def box_set(data: DataSet) -> BoxSet:
    """The data set itself, if it has boxes.

    Raises:
        DataError: it has none.
    """
    if not isinstance(data, BoxSet):
        do = "give a folder with boxes.json and tables in the format of AVA"
        raise DataError("no boxes in this data set", data.root, do)
    return data


def with_found(data: BoxSet, path: str | Path, min_score: float = 0.0) -> BoxSet:
    """The same data with detected boxes.

    Args:
        data: key frames.
        path: a file in AVA's format, `video,time stamp,left,top,right,bottom[,label[,score]]`; without a score it is 1. Boxes and
            time stamps are read as those of the data.
        min_score: boxes below this score are left out.

    Raises:
        DataError: the file cannot be read, or has no box for any key frame of the data.
    """
    keys = {(example.path, round(data.key_frames[example.key].time_s, 3)): example.key for example in data.examples}
    rows: defaultdict[str, dict[tuple[float, ...], float]] = defaultdict(dict)
    total = 0
    for row in read_box_rows(path):
        video = data.reading.videos.get(row.video)
        if row.box is None or video is None:
            continue
        score, total = _number(row.extra, row.where) if row.extra else 1.0, total + 1
        key = keys.get((video, round(data.reading.time_s(row), 3)))
        if key is not None and score >= min_score:
            rows[key][data.reading.shares(row)] = score
    if not rows:
        do = "write video names and time stamps as in the data"
        raise DataError(f"none of its {total} boxes is at a key frame of {data.root}", path, do)
    found = {key: FoundBoxes(np.array(list(own)), np.array(list(own.values()))) for key, own in rows.items()}
    return replace(data, found=found)


def key_frame_of(rows: list[BoxRow], reading: BoxReading, labels: Mapping[str, str]) -> KeyFrame:
    """Join the rows of one key frame: a person with several labels has a row for each.

    Raises:
        DataError: a label that the label map does not have, or a box outside the frame.
    """
    persons: dict[tuple[tuple[float, ...], str], list[str]] = {}
    for row in rows:
        if row.box is not None:
            if row.label not in labels:
                do = "add it to the label map, or to ignored_labels in boxes.json"
                raise DataError(f"no label has the id {row.label or '(empty)'}", row.where, do)
            own = persons.setdefault((reading.shares(row), row.extra), [])
            own.extend([labels[row.label]] if labels[row.label] not in own else [])
    boxes = np.array([box for box, _ in persons]).reshape(-1, 4)
    names = tuple(tuple(own) for own in persons.values())
    return KeyFrame(reading.time_s(rows[0]), boxes, names, tuple(person for _, person in persons), rows[0].where)


def check_times(frames: Mapping[str, list[KeyFrame]], reading: BoxReading, ends_s: Mapping[str, float]) -> None:
    """Check the times of all key frames, by the path of their video.

    Raises:
        DataError: key frames are closer together than the step, or after the end of the video.
    """
    for path, own in frames.items():
        ordered = sorted(own, key=lambda frame: frame.time_s)
        if path in ends_s and ordered[-1].time_s > ends_s[path] + reading.key_frame_step_s / 2:
            what = f"a key frame at {ordered[-1].time_s:g} s, but the video ends at {ends_s[path]:g} s"
            do = f"correct time_offset_s in boxes.json, which is {reading.time_offset_s:g}, or the row"
            raise DataError(what, ordered[-1].where, do)
        for before, after in itertools.pairwise(ordered):
            if after.time_s - before.time_s < 0.75 * reading.key_frame_step_s:
                apart = f"{after.time_s - before.time_s:g} s"
                do = f"correct key_frame_step_s in boxes.json, which is {reading.key_frame_step_s:g}"
                raise DataError(f"two key frames are {apart} apart", after.where, do)
