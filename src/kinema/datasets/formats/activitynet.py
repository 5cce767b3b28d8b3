"""ActivityNet's JSON, in which THUMOS14, HACS and many others are published too.

    {"database": {"v_ab12": {"subset": "training", "duration": 82.7,
                             "annotations": [{"segment": [6.2, 77.7], "label": "Ballet"}]},
                  "v_cd34": {"subset": "validation", "annotations": []}}}

The videos are the files of these names, with or without "v_" before them, in the folder of the JSON or below it. Give the folder
that holds both if the JSON lies in a folder of its own. Videos that are not there are left out. Each video has an entry, also if
nothing happens in it. BMN's form without "database" is read too.

Heilbron et al. 2015, "ActivityNet: A large-scale video benchmark for human activity understanding".
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from kinema.datasets.action_list import ActionList
from kinema.datasets.dataset import DataSet, first_few
from kinema.datasets.format import Format, ListOptions
from kinema.datasets.lists import leave_out_missing, videos_by_stem, walk
from kinema.datasets.tables import read_part
from kinema.errors import DataError
from kinema.types import Example

_MARKS = (b'"annotations"', b'"segment"')
_DEPTH = 2


def find_files(path: str) -> list[str]:
    """The file itself if it is such JSON, or those in a folder and up to two levels below it."""
    if os.path.isfile(path):
        return [path] if _is_annotations(path) else []
    found = (os.path.join(where, name) for where, _, names in walk(path, _DEPTH) for name in names)
    return [file for file in found if _is_annotations(file)]


def list_activitynet(path: str, options: ListOptions) -> DataSet:
    """Read the JSON at a path, or the only one in a folder.

    Raises:
        DataError: it cannot be read, an action is wrong, or no video exists; says which.
    """
    files = [path] if os.path.isfile(path) else find_files(path)
    if len(files) != 1:
        do = "name one of them" if files else 'give JSON with "database", and "annotations" for each video'
        raise DataError(f"{len(files)} files of located actions", f"{path}, {first_few(files) or 'no JSON'}", do)
    database, videos = read_database(files[0]), videos_by_stem(path)
    actions, listed = ActionList(path, options), []
    for name, entry in database.items():
        where = f"{files[0]}: {name}"
        stems = (name, f"v_{name}", name.removeprefix("v_"), os.path.splitext(name)[0])
        video = next((videos[stem] for stem in stems if stem in videos), None)
        listed.append((name, None if video is None else Example(video, ())))
        if video is not None:
            _add_video(actions, video, entry, where)
    if options.faults is None:
        leave_out_missing(listed, files[0])
    elif missing := [name for name, example in listed if example is None]:
        what = f"{len(missing)} of {len(listed)} listed videos do not exist"
        options.report(DataError(what, f"{files[0]}, {first_few(missing)}", "put them below the folder of the list"))
    return actions.data_set(Path(files[0]).stem)


def read_database(path: str) -> dict[str, Mapping[str, object]]:
    """The entries of such a file by video.

    Raises:
        DataError: it is no JSON, or has other contents.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise DataError(
            "broken JSON", f"{path}, line {error.lineno}", f"{error.msg}: repair or fetch it again"
        ) from error
    except (OSError, ValueError) as error:
        raise DataError("cannot read this JSON", path, "check that the file exists and is UTF-8") from error
    database = values.get("database", values) if isinstance(values, dict) else None
    if not isinstance(database, dict) or not database:
        raise DataError("no videos in this JSON", path, '"database" holds an entry for each video')
    for name, entry in database.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("annotations"), list):
            raise DataError('a video without a list of "annotations"', f"{path}: {name}", "an empty list is no action")
    return database


def _add_video(actions: ActionList, video: str, entry: Mapping[str, object], where: str) -> None:
    actions.add_video(video, read_part(str(entry.get("subset") or ""), where))
    annotations = entry["annotations"]
    for number, action in enumerate(annotations if isinstance(annotations, list) else [], 1):
        values = action if isinstance(action, dict) else {}
        times = values.get("segment")
        start, end = times if isinstance(times, list) and len(times) == 2 else (times, None)
        actions.add(video, str(values.get("label") or ""), start, end, f"{where}, action {number}")


def _is_annotations(path: str) -> bool:
    """Whether the first megabyte of a JSON file looks like this format."""
    if not path.lower().endswith(".json"):
        return False
    try:
        with open(path, "rb") as file:
            head = file.read(1 << 20)
    except OSError:
        return False
    return _MARKS[0] in head and (_MARKS[1] in head or b'"database"' in head)


FORMAT = Format(list_data=list_activitynet, detect=lambda path: bool(find_files(path)), priority=35)
