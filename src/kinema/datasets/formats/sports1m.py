"""Sports-1M (Karpathy et al. 2014): lists of links with class numbers, and labels.txt with 487 names, numbered from 0.

    https://www.youtube.com/watch?v=UDqivjS-lpI 168,169

A path may stand in place of the link. Files are searched below the list's folder by the link's id; those that do not exist are
left out, with one warning. A video may have several labels. The published folds hold a few videos in both train and test, with
different labels: they are left out of train.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from kinema.datasets.dataset import PART_OF, DataSet, make_data_set
from kinema.datasets.format import Format, ListOptions
from kinema.datasets.lists import leave_out_missing, numbered_lines, videos_by_stem
from kinema.errors import DataError
from kinema.labels import Labels
from kinema.types import Example

_LINE = re.compile(r"^(\S.*?)\s+(\d+(?:\s*,\s*\d+)*)$")
_LINK_ID = re.compile(r"(?:[?&]v=|youtu\.be/)([\w-]+)")
_PRECEDENCE = {"train": 0, None: 0, "valid": 1, "test": 2}
_log = logging.getLogger("kinema")


def labels_file(path: str) -> str | None:
    """labels.txt in the folder of the list, or in the one above."""
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    places = [os.path.join(folder, "labels.txt"), os.path.join(folder, "..", "labels.txt")]
    return next((place for place in places if os.path.isfile(place)), None)


def find_lists(path: str) -> list[str]:
    """Sports-1M lists: `path` itself, or those in the folder or its folder `original`; none without labels.txt."""
    if labels_file(path) is None:
        return []
    if not os.path.isdir(path):
        return [path] if _is_list(path) else []
    folders = [folder for folder in (path, os.path.join(path, "original")) if os.path.isdir(folder)]
    names = [os.path.join(folder, name) for folder in folders for name in sorted(os.listdir(folder))]
    return [name for name in names if "labels" not in os.path.basename(name) and _is_list(name)]


def list_sports1m(path: str, options: ListOptions) -> DataSet:
    """List Sports-1M from one list, or from the train and test lists of a folder.

    Raises:
        DataError: no list, no names, a malformed line, a number without a name, or none of the videos exists.
    """
    lists, names_file = find_lists(path), labels_file(path)
    if not lists or names_file is None:
        do = "give a list with `LINK NUMBER,NUMBER` a line, and labels.txt beside it"
        raise DataError("no Sports-1M list", path, do)
    names, files = Labels.read(names_file), videos_by_stem(path)
    listed: list[tuple[str, Example | None]] = []
    for name in lists:
        words = re.split(r"[_\W]", Path(name).stem.lower())
        part = next((PART_OF[word] for word in words if word in PART_OF), None)
        for number, line in numbered_lines(name):
            link, classes = _read_line(line, f"{name}, line {number}", names)
            video = _find_video(link, name, files)
            listed.append((link, None if video is None else Example(video, classes, split=part)))
    by_path: dict[str, Example] = {}
    num_torn = 0
    for example in leave_out_missing(listed, path):
        other = by_path.setdefault(example.path, example)
        if other.split == example.split:
            by_path[example.path] = replace(other, labels=tuple(dict.fromkeys(other.labels + example.labels)))
        else:
            num_torn += 1
            by_path[example.path] = max(other, example, key=lambda e: _PRECEDENCE[e.split])
    if num_torn:
        _log.warning("%d videos are in two lists: they are left out of train", num_torn)
    return make_data_set("Sports-1M", path, by_path.values(), options.labels, own=names)


def _is_list(path: str) -> bool:
    if not path.lower().endswith(".txt") or not os.path.isfile(path):
        return False
    with open(path, encoding="utf-8", errors="replace") as file:
        return _LINE.match(file.readline().strip()) is not None


def _read_line(line: str, where: str, names: Labels) -> tuple[str, tuple[str, ...]]:
    """The link or path of a line, and its class names."""
    match = _LINE.match(line)
    if match is None:
        raise DataError("not a link or path and class numbers", where, "write LINK NUMBER,NUMBER")
    numbers = [int(text) for text in match[2].split(",")]
    if max(numbers) >= len(names):
        raise DataError(f"no class number {max(numbers)}", where, f"labels.txt names {len(names)}, counted from 0")
    return match[1], tuple(dict.fromkeys(names[number] for number in numbers))


def _find_video(link: str, source: str, files: Mapping[str, str]) -> str | None:
    """The file of a link or path; None if it does not exist."""
    if video := _LINK_ID.search(link):
        return files.get(video[1])
    path = os.path.join(os.path.dirname(source), link)
    return path if os.path.exists(path) else files.get(Path(link).stem)


FORMAT = Format(list_data=list_sports1m, detect=lambda path: bool(find_lists(path)), priority=50)
