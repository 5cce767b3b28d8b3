"""Boxes with actions in the format of AVA: a folder with `boxes.json`, its CSV files, a label map and videos.

    figures/boxes.json  figures/labels.pbtxt  figures/train.csv  figures/valid.csv  figures/videos/*.mp4

See `kinema.datasets.located_boxes` for what these files hold.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from kinema.datasets.dataset import PART_OF, PARTS, DataSet, make_data_set
from kinema.datasets.format import Format, ListOptions
from kinema.datasets.located_boxes import (
    BoxReading,
    BoxRow,
    BoxSet,
    KeyFrame,
    check_times,
    key_frame_of,
    read_box_rows,
    read_label_map,
)
from kinema.errors import DataError, UnknownName, VideoError
from kinema.labels import Labels
from kinema.types import Example, TimeSpan
from kinema.video import is_video, open_video

NAME = "boxes.json"
_KINDS: dict[str, type | tuple[type, ...]] = {
    "parts": dict, "labels": str, "boxes": str, "time_offset_s": (int, float), "key_frame_step_s": (int, float),
    "videos": str, "ignored_labels": list, "excluded": str,
}  # fmt: skip
_REQUIRED = ("parts", "labels", "boxes", "time_offset_s", "key_frame_step_s")
_EXAMPLE = (
    '{"videos": "videos", "labels": "labels.pbtxt", "parts": {"train": "train.csv"}, "boxes": "normalised" or "pixels", '
    '"time_offset_s": 0, "key_frame_step_s": 1}'
)

_LARGEST_SHARE = 2
"""Boxes that end before this are no boxes in pixels."""

Key = tuple[str, float]
"""The name of a video in the rows, and a time stamp."""


@dataclass(frozen=True)
class _Listed:
    """The rows of all parts by key frame, and the part of each."""

    rows: Mapping[Key, list[BoxRow]]
    parts: Mapping[Key, str]


def list_boxes(path: str, options: ListOptions) -> BoxSet:
    """Read `boxes.json` and what it names.

    Raises:
        DataError: a file, an entry or a row is missing or wrong; says which.
    """
    is_table = path.endswith(".csv")
    about_path = Path(path).parent / NAME if is_table else Path(path) / NAME if os.path.isdir(path) else Path(path)
    about, root = _read_about(about_path), about_path.parent
    if is_table:
        about["parts"] = {part: file for part, file in about["parts"].items() if file == os.path.basename(path)}
        if not about["parts"]:
            raise DataError("this table of boxes is no part of the data", path, f'name it in "parts" of {about_path}')
    names = read_label_map(root / about["labels"])
    videos = _videos(root / about.get("videos", "."))
    listed = _list_rows(about, root, videos)
    ends_s, sizes = _measured({videos[video] for video, _ in listed.rows})
    reading = BoxReading(about["boxes"], float(about["time_offset_s"]), float(about["key_frame_step_s"]), videos, sizes)
    sides = [max(row.box) for rows in listed.rows.values() for row in rows if row.box is not None]
    if reading.unit == "pixels" and sides and max(sides) <= _LARGEST_SHARE:
        what = f'all boxes end before {_LARGEST_SHARE} pixels, but "boxes" is "pixels"'
        raise DataError(what, about_path, 'if they are shares of the frame, write "normalised"')
    frames: dict[Example, KeyFrame] = {}
    by_video: defaultdict[str, list[KeyFrame]] = defaultdict(list)
    for (video, stamp_s), rows in sorted(listed.rows.items()):
        try:
            frame = key_frame_of(rows, reading, names)
        except DataError as fault:
            options.report(fault)
            continue
        half_s = reading.key_frame_step_s / 2
        labels = tuple(sorted({label for own in frame.labels for label in own}))
        span = TimeSpan(max(frame.time_s - half_s, 0.0), frame.time_s + half_s)
        frames[Example(videos[video], labels, span, listed.parts[video, stamp_s], video)] = frame
        by_video[videos[video]].append(frame)
    check_times(by_video, reading, ends_s)
    data = make_data_set(root.absolute().name, path, frames, options.labels, own=Labels(tuple(names.values())))
    own = {one.name: getattr(data, one.name) for one in fields(DataSet)}
    by_key = {example.key: frame for example, frame in frames.items()}
    return BoxSet(**{**own, "multi_label": True}, key_frames=by_key, reading=reading)


def _read_about(path: Path) -> dict[str, Any]:
    """The entries of `boxes.json`, checked."""
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"no {NAME} that can be read", path, f"write one, such as {_EXAMPLE}") from error
    about = about if isinstance(about, dict) else {}
    if missing := ", ".join(name for name in _REQUIRED if name not in about):
        raise DataError(f"{NAME} does not say {missing}", path, f"write it, as in {_EXAMPLE}")
    for name, value in about.items():
        if name not in _KINDS:
            raise UnknownName(f"entry of {path}", name, _KINDS)
        if not isinstance(value, _KINDS[name]) or isinstance(value, bool):
            raise DataError(f"the entry {name!r} of {NAME} cannot be understood", path, f"write it as in {_EXAMPLE}")
    _check_values(about, path)
    return about


def _check_values(about: Mapping[str, Any], path: Path) -> None:
    if about["boxes"] not in ("normalised", "pixels"):
        raise DataError(f'"boxes": "{about["boxes"]}" is no unit', path, "write normalised (0 to 1) or pixels")
    if not about["key_frame_step_s"] > 0 or not about["parts"]:
        raise DataError(f"{NAME} needs a key_frame_step_s above 0 and a part", path, f"write it as in {_EXAMPLE}")
    if wrong := [part for part in about["parts"] if part.lower() not in PART_OF]:
        raise UnknownName(f"part in {path}", wrong[0], PARTS)


def _list_rows(about: Mapping[str, Any], root: Path, videos: Mapping[str, str]) -> _Listed:
    """The rows of all parts, without excluded key frames and ignored labels."""
    ignored = {str(number) for number in about.get("ignored_labels", [])}
    left_out = (
        {(row.video, row.stamp_s) for row in read_box_rows(root / about["excluded"])} if "excluded" in about else set()
    )
    rows: defaultdict[Key, list[BoxRow]] = defaultdict(list)
    parts: dict[Key, str] = {}
    for part, file in about["parts"].items():
        for row in read_box_rows(root / file):
            key = (row.video, row.stamp_s)
            if row.video not in videos:
                raise DataError(
                    f"no video called {row.video!r}", row.where, f"put it into {root / about.get('videos', '.')}"
                )
            if parts.setdefault(key, PART_OF[part.lower()]) != PART_OF[part.lower()]:
                raise DataError("this key frame is in two parts", row.where, "leave it in one of them")
            if key not in left_out:
                own = rows[key]  # a key frame whose labels are all ignored stays, without persons
                own.append(row) if row.label not in ignored else own.append(_without_box(row))
    if not rows:
        raise DataError("no key frames", root, "give rows of video,time,left,top,right,bottom,label")
    return _Listed(rows, parts)


def _without_box(row: BoxRow) -> BoxRow:
    return BoxRow(row.video, row.stamp_s, None, "", "", row.where)


def _videos(folder: Path) -> dict[str, str]:
    """Paths of the videos in a folder, by name with and without ending."""
    if not folder.is_dir():
        raise DataError("no folder of videos", folder, f'correct the entry "videos" of {NAME}')
    found = sorted(path for path in folder.iterdir() if is_video(path))
    return {name: str(path) for path in found for name in (path.stem, path.name)}


def _measured(paths: set[str]) -> tuple[dict[str, float], dict[str, tuple[int, int]]]:
    """Durations, and heights and widths, of the videos that can be opened."""
    ends_s, sizes = {}, {}
    for path in sorted(paths):
        try:
            with open_video(path, threads=1) as video:
                ends_s[path], sizes[path] = video.info.duration_s, (video.info.height, video.info.width)
        except VideoError:
            continue  # training and evaluation count it as broken
    return ends_s, sizes


def _is_described(path: str) -> bool:
    """Whether there is a `boxes.json`, or the path is a table of boxes, which needs one."""
    if os.path.isfile(os.path.join(path, NAME)) or (os.path.basename(path) == NAME and os.path.isfile(path)):
        return True
    if not path.endswith(".csv") or not os.path.isfile(path):
        return False
    try:
        return next(read_box_rows(path), None) is not None
    except DataError:
        return False


FORMAT = Format(list_data=list_boxes, detect=_is_described, priority=5)
