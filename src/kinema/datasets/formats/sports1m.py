"""Sports-1M (Karpathy et al. 2014): lists of links with class numbers, and labels.txt with 487 names, from 0.

    https://www.youtube.com/watch?v=UDqivjS-lpI 168,169

A path may stand in place of the link. Files are looked for below the list's folder by the link's id; those that are not
there are left out, with one warning. A video may have several labels. The published folds hold a few videos in train
and in test, with different labels: they are left out of train.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from kinema.datasets.dataset import PART_OF, DataSet, finish
from kinema.datasets.formats.kinetics import leave_out_missing, media_by_stem
from kinema.datasets.formats.ucf101 import numbered_lines
from kinema.errors import DataError
from kinema.labels import Labels
from kinema.types import Example

_LINE = re.compile(r"^(\S.*?)\s+(\d+(?:\s*,\s*\d+)*)$")
_LINK_ID = re.compile(r"(?:[?&]v=|youtu\.be/)([\w-]+)")
_RANK = {"train": 0, None: 0, "valid": 1, "test": 2}
_log = logging.getLogger("kinema")


def lists_in(path: str) -> list[str]:
    """Sports-1M lists: `path` itself, or those in the folder or its folder `original`; they need labels.txt."""
    if labels_file(path) is None:
        return []
    if not os.path.isdir(path):
        return [path] if _is_list(path) else []
    folders = [folder for folder in (path, os.path.join(path, "original")) if os.path.isdir(folder)]
    names = [os.path.join(folder, name) for folder in folders for name in sorted(os.listdir(folder))]
    return [name for name in names if "labels" not in os.path.basename(name) and _is_list(name)]


def labels_file(path: str) -> str | None:
    """labels.txt in the folder of the list, or in the one above."""
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    places = [os.path.join(folder, "labels.txt"), os.path.join(folder, "..", "labels.txt")]
    return next((place for place in places if os.path.isfile(place)), None)


def list_sports1m(path: str, labels: Labels | None = None) -> DataSet:
    """List Sports-1M from one list, or from the train and test lists of a folder.

    Raises:
        DataError: no list or names, a line that is none, a number beyond the names, or none of the videos is there.
    """
    lists, names_file = lists_in(path), labels_file(path)
    if not lists or names_file is None:
        raise DataError(
            "no Sports-1M list", path, "give a list with `LINK NUMBER,NUMBER` a line, and labels.txt beside it"
        )
    names = Labels.read(names_file)
    files = media_by_stem(path if os.path.isdir(path) else os.path.dirname(path) or ".")
    listed = [_example(line, n, name, names, files) for name in lists for n, line in numbered_lines(name)]
    examples = _merged(leave_out_missing(listed, path))
    return finish("Sports-1M", path, examples, labels, own=names)


def _is_list(path: str) -> bool:
    if not path.lower().endswith(".txt"):
        return False
    with open(path, encoding="utf-8", errors="replace") as file:
        return _LINE.match(file.readline().strip()) is not None


def _example(
    line: str, number: int, source: str, names: Labels, files: Mapping[str, str]
) -> tuple[str, Example | None]:
    match = _LINE.match(line)
    if match is None:
        raise DataError("not a link or path and class numbers", f"{source}, line {number}", "write LINK NUMBER,NUMBER")
    link, numbers = match[1], [int(text) for text in match[2].split(",")]
    if max(numbers) >= len(names):
        where = f"{source}, line {number}"
        raise DataError(f"no class number {max(numbers)}", where, f"labels.txt names {len(names)}, counted from 0")
    path = _path(link, source, files)
    classes = tuple(dict.fromkeys(names[index] for index in numbers))
    return link, None if path is None else Example(path, classes, split=_part_in(source))


def _path(link: str, source: str, files: Mapping[str, str]) -> str | None:
    video = _LINK_ID.search(link)
    if video:
        return files.get(video[1])
    path = os.path.join(os.path.dirname(source), link)
    return path if os.path.exists(path) else files.get(Path(link).stem)


def _part_in(path: str) -> str | None:
    words = re.split(r"[_\W]", Path(path).stem.lower())
    return next((PART_OF[word] for word in words if word in PART_OF), None)


def _merged(examples: Iterable[Example]) -> list[Example]:
    """One example a file: labels of the same part are joined; of two parts, the later one keeps the file."""
    kept: dict[str, Example] = {}
    torn = 0
    for example in examples:
        other = kept.setdefault(example.path, example)
        if other.split == example.split:
            names = tuple(dict.fromkeys(other.labels + example.labels))
            kept[example.path] = replace(other, labels=names)
        else:
            torn += 1
            kept[example.path] = max(other, example, key=lambda e: _RANK[e.split])
    if torn:
        _log.warning("%d videos stand in two lists: they are left out of train", torn)
    return list(kept.values())
