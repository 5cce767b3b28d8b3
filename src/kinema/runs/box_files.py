"""Read boxes of actions and of tracks from files: AVA's CSV, tubes as JSON or tables, and MOTChallenge's text files.

Every error names the file and the row.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from kinema.datasets.tables import is_table, read_table
from kinema.errors import DataError
from kinema.evaluation.located.boxes import BoxTable
from kinema.evaluation.located.tracking import TrackedFrame
from kinema.evaluation.located.tubes import LabelledTube
from kinema.runs.segment_files import read_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OUTSIDE = 0.05
"""A box may reach this far out of its frame, in shares of its size; detectors do not cut their boxes exactly."""
_AVA = "video,timestamp,left,top,right,bottom,label and, for answers, score; boxes in shares of the frame"
_TUBE = '{"video", "label", "score", "start_frame", "boxes_xyxy": [[LEFT, TOP, RIGHT, BOTTOM], …]}, a box a frame'
_MOT = "frame,id,left,top,width,height,confidence, … in pixels"


@dataclass(frozen=True)
class BoxFile:
    """The boxes of a file in AVA's format.

    Args:
        path: the file.
        table: its boxes.
        where: the file and the row of each box.
        key_frames: the key frames that it lists, with boxes or without, by video.
    """

    path: str
    table: BoxTable
    where: Sequence[str]
    key_frames: Mapping[str, frozenset[float]]

    @property
    def frames(self) -> set[str]:
        """The key frames, named as in the table."""
        return {_frame(video, time_s) for video, times_s in self.key_frames.items() for time_s in times_s}


def _frame(video: str, time_s: float) -> str:
    return f"{video}, {time_s:.10g} s"


def read_boxes(path: str, names: Mapping[str, str] | None = None, *, scored: bool = True) -> BoxFile:
    """Read a CSV file in AVA's format.

    Args:
        path: rows of video, time stamp, left, top, right, bottom, label and, for answers, score. A row without a box lists a key
            frame in which there is nobody.
        names: names of the labels by their numbers in the file; None takes what stands there.
        scored: these are answers, which need a score. Truth has none: a further column, AVA's person, is not read.

    Raises:
        DataError: the file cannot be read, or a row is wrong; says which one.
    """
    key_frames: defaultdict[str, set[float]] = defaultdict(set)
    frames, labels, boxes, scores, where = [], [], [], [], []
    for line, cells in _lines(path):
        place = f"{path}, line {line}"
        video, time_s = cells[0], _number(cells[1] if len(cells) > 1 else "", place, "time stamp")
        key_frames[video].add(time_s)
        if not any(cells[2:]):
            continue
        if len(cells) < (8 if scored else 7):
            missing = "a score" if len(cells) == 7 else "a box and a label"
            raise DataError(f"an answer needs {missing}" if scored else f"a true box needs {missing}", place, _AVA)
        box = [_number(cell, place, "coordinate") for cell in cells[2:6]]
        _check_shares(box, place)
        frames.append(_frame(video, time_s))
        labels.append(names.get(cells[6], cells[6]) if names else cells[6])
        boxes.append(box)
        scores.append(_number(cells[7], place, "score") if scored else 1.0)
        where.append(place)
    table = BoxTable(
        np.array(frames, np.str_), np.array(labels, np.str_), np.array(boxes, np.float64).reshape(-1, 4),
        np.array(scores, np.float64),
    )  # fmt: skip
    return BoxFile(path, table, where, {video: frozenset(times_s) for video, times_s in key_frames.items()})


def read_excluded(path: str) -> set[str]:
    """Key frames that are not judged: rows of video and time stamp."""
    return {_frame(cells[0], _number(cells[1], f"{path}, line {line}", "time stamp")) for line, cells in _lines(path)}


def read_label_map(path: str) -> dict[str, str]:
    """Names of labels by number: AVA's .pbtxt, a table with the columns id and name, or a name a line from number 1 on.

    Raises:
        DataError: there is no label in it.
    """
    if is_table(path):
        names = {row.get("id", ""): row.get("name") or row.get("label", "") for row in read_table(path)}
    else:
        text = _read_text(path)
        if path.endswith(".pbtxt"):
            blocks = re.findall(r"\{(.*?)\}", text, re.DOTALL)
            pairs = [
                (re.search(r'\bname:\s*"(.*?)"', one), re.search(r"\b(?:label_)?id:\s*(\d+)", one)) for one in blocks
            ]
            names = {number[1]: name[1] for name, number in pairs if name and number}
        else:
            names = {str(number): name for number, name in enumerate(filter(None, text.splitlines()), 1)}
    if not names or not all(names) or not all(names.values()):
        raise DataError("no labels with their numbers", path, 'give AVA\'s .pbtxt, or a table with "id" and "name"')
    return names


def _read_text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise DataError("cannot read this file", path, "give text in UTF-8") from error


def _lines(path: str) -> Iterator[tuple[int, list[str]]]:
    """Rows of cells with the number of their line; a first row without a number in it names the columns."""
    rows = csv.reader(_read_text(path).splitlines(), skipinitialspace=True)
    try:
        for cells in rows:
            named = rows.line_num == 1 and not any(re.fullmatch(r"[-+.\de]+", cell.strip()) for cell in cells[1:])
            if any(map(str.strip, cells)) and not (named and len(cells) > 1):
                yield rows.line_num, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise DataError(f"not a CSV file ({error})", path, _AVA) from error


def _number(text: str, place: str, kind: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"not a {kind}: {text!r}", place, "give a finite number")
    return value


def _check_shares(box: Sequence[float], place: str) -> None:
    left, top, right, bottom = box
    if right <= left or bottom <= top:
        raise DataError(f"a box needs left < right and top < bottom, got {_shown(box)}", place, _AVA)
    if min(box) < -_OUTSIDE or max(box) > 1 + _OUTSIDE:
        do = "divide pixels by the width and the height of the frame"
        raise DataError(f"a box outside 0 to 1: {_shown(box)}", place, do)


def _shown(box: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in box)


def read_tubes(path: str, side: Literal["truth", "predictions"]) -> list[LabelledTube]:
    """Read tubes, with boxes in pixels.

    Args:
        path: JSON with a list of tubes, with tubes by video and label, or a document a line, as `kinema detect --json` prints
            it; or a table with a row a box: video, frame, track, left, top, right, bottom, label and, for answers, score. Boxes
            that are missing between two frames of a tube are interpolated.
        side: if the JSON has truth and predictions under these names, which of them to take.

    Raises:
        DataError: the file cannot be read, or a tube is wrong; says which one.
    """
    tubes = list(_tubes_of_table(path)) if is_table(path) else list(_tubes_of_json(path, side))
    wide = [tube for tube in tubes if len(tube.boxes) and tube.boxes.max() <= 1 + _OUTSIDE]
    if tubes and len(wide) == len(tubes):
        do = "give pixels: multiply by the width and the height of the frame"
        raise DataError("all boxes are inside 0 to 1", path, do)
    return tubes


def _tubes_of_table(path: str) -> Iterator[LabelledTube]:
    tubes: defaultdict[tuple[str, str, str], list[tuple[int, list[float], float]]] = defaultdict(list)
    for row in read_table(path):
        lacking = [
            name for name in ("video", "frame", "track", "left", "top", "right", "bottom", "label") if not row.get(name)
        ]
        if lacking:
            raise DataError(
                f"a box without {lacking[0]}", row.where, "columns: video,frame,track,left,top,right,bottom,label,score"
            )
        frame, *sides = (_number(row[name], row.where, name) for name in ("frame", "left", "top", "right", "bottom"))
        _check_sides(sides, row.where)
        score = _number(row.get("score") or "1", row.where, "score")
        tubes[row["video"], row["track"], row["label"]].append((int(frame), sides, score))
    for (video, track, label), boxes in tubes.items():
        boxes.sort()
        frames = [frame for frame, _, _ in boxes]
        if len(set(frames)) < len(frames):
            raise DataError(
                f"two boxes of track {track} in a frame", f"{path}: {video}, {label}", "give each person a track"
            )
        score = float(np.mean([score for _, _, score in boxes]))
        yield _tube(video, label, np.array(frames), np.array([box for _, box, _ in boxes]), score)


def _check_sides(sides: Sequence[float], place: str) -> None:
    if len(sides) != 4 or not all(map(math.isfinite, sides)) or sides[2] < sides[0] or sides[3] < sides[1]:
        raise DataError(f"a box needs left, top, right and bottom, got {_shown(sides)}", place, _TUBE)


def _tube(video: str, label: str, frames: NDArray[np.int64], boxes: NDArray[np.float64], score: float) -> LabelledTube:
    """A tube whose missing frames are interpolated."""
    every = np.arange(frames[0], frames[-1] + 1)
    filled = np.stack([np.interp(every, frames, side) for side in boxes.T], axis=1)
    return LabelledTube(video, label, int(frames[0]), filled, score)


def _tubes_of_json(path: str, side: str) -> Iterator[LabelledTube]:
    for document in _documents(path):
        tubes = document.get(side, document) if isinstance(document, dict) else document
        yield from _tubes_in(tubes, _Place(path))


def _documents(path: str) -> list[object]:
    """The JSON document of a file, or one of each line."""
    lines = [line for line in _read_text(path).splitlines() if line.strip()]
    try:
        return [json.loads(line) for line in lines] if len(lines) > 1 else [read_json(path)]
    except ValueError:  # a document of many lines
        return [read_json(path)]


class _Place(NamedTuple):
    """Where a tube stands in a file, and what is known of it there."""

    where: str
    video: str = ""
    label: str = ""


def _tubes_in(node: object, place: _Place) -> Iterator[LabelledTube]:
    """Tubes in a list, by video, by label, or of a document of `kinema detect`."""
    if isinstance(node, list):
        for number, entry in enumerate(node, 1):
            yield from _tubes_in(entry, place._replace(where=f"{place.where}, tube {number}"))
    elif not isinstance(node, dict):
        raise DataError("not a tube", place.where, _TUBE)
    elif "tracks" in node:
        yield from _tubes_of_tracks(node, place)
    elif "tubes" in node:
        yield from _tubes_in(node["tubes"], place._replace(label=str(node.get("label", place.label))))
    elif not any(isinstance(value, dict | list) for value in node.values()) or "start_frame" in node or place.label:
        yield _tube_of_json(node, place)
    else:
        for name, below in node.items():
            named = {"label": name} if place.video else {"video": name}
            yield from _tubes_in(below, place._replace(where=f"{place.where}: {name}", **named))


def _tube_of_json(entry: Mapping[str, Any], place: _Place) -> LabelledTube:
    try:
        sizes = "boxes_xywh" in entry
        boxes = np.array(entry["boxes_xywh"] if sizes else entry.get("boxes_xyxy", entry.get("boxes")), np.float64)
        boxes = boxes.reshape(-1, 4) + (np.roll(boxes.reshape(-1, 4), 2, axis=1) * [0, 0, 1, 1] if sizes else 0)
        frame, score = int(entry["start_frame"]), float(entry.get("score", 1))
        video, label = str(entry.get("video", place.video)), str(entry.get("label", place.label))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError("not a tube", place.where, _TUBE) from error
    if not video or not label or not len(boxes) or not math.isfinite(score):
        raise DataError("a tube needs a video, a label, boxes and a finite score", place.where, _TUBE)
    for number, box in enumerate(boxes.tolist(), frame):
        _check_sides(box, f"{place.where}, frame {number}")
    return LabelledTube(video, label, frame, boxes, score)


def _tubes_of_tracks(document: Mapping[str, Any], place: _Place) -> Iterator[LabelledTube]:
    """A tube for each label of each track, over the boxes in its time."""
    video = Path(str(document.get("path", place.video))).stem
    for number, track in enumerate(document["tracks"], 1):
        where = f"{place.where}: {video}, track {number}"
        try:
            times_s, frames = (
                np.array([box[name] for box in track["boxes"]], np.float64) for name in ("time_s", "frame")
            )
            boxes = np.array([box["box"] for box in track["boxes"]], np.float64).reshape(-1, 4)
            for label in track["labels"]:
                inside = (times_s >= label["start_s"]) & (times_s < label["end_s"])
                if inside.any():
                    score = float(label.get("score", 1))
                    yield _tube(video, str(label["label"]), frames[inside].astype(np.int64), boxes[inside], score)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError("not a track", where, "give what `kinema detect --json` prints") from error


def read_tracks(path: str, *, truth: bool = False) -> tuple[dict[int, TrackedFrame], int]:
    """Read boxes with identities in MOTChallenge's text format.

    Args:
        path: rows of frame, identity, left, top, width, height and, optionally, confidence, in pixels.
        truth: leave out rows with a confidence of 0, as the challenge does.

    Returns:
        The boxes of each frame, and the number of rows that were left out.

    Raises:
        DataError: the file cannot be read, or a row is wrong; says which one.
    """
    frames: defaultdict[int, dict[int, list[float]]] = defaultdict(dict)
    ignored = 0
    for line, cells in _lines(path):
        place = f"{path}, line {line}"
        if len(cells) < 6:
            raise DataError(f"a row of {len(cells)} cells", place, _MOT)
        numbers = [_number(cell, place, "number") for cell in cells[:7]]
        frame, identity, (left, top, width, height) = int(numbers[0]), int(numbers[1]), numbers[2:6]
        if width <= 0 or height <= 0:
            raise DataError(f"a box without a size: width {width:g}, height {height:g}", place, _MOT)
        if truth and len(numbers) > 6 and numbers[6] == 0:
            ignored += 1
        elif identity in frames[frame]:
            raise DataError(f"identity {identity} stands twice in frame {frame}", place, "leave one of them out")
        else:
            frames[frame][identity] = [left, top, left + width, top + height]
    tracked = {
        number: TrackedFrame(np.array(list(boxes), np.int64), np.array(list(boxes.values())).reshape(-1, 4))
        for number, boxes in frames.items()
    }
    return tracked, ignored
