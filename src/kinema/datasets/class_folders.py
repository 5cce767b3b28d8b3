"""Find the class folders of a data set, and the parts (train, valid, test) around them; report what is left out."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches

from kinema.datasets.dataset import PART_OF, first_few
from kinema.datasets.lists import folders_in, hidden_folders_in
from kinema.errors import DataError

_log = logging.getLogger("kinema")

ClassFolder = tuple[str | None, str]
"""The part, None where there are no parts, and the path of a class folder."""

_FURTHER_WORDS = re.compile(r"(set|data|videos?|clips?|frames?|images?|rawframes|split|part|(19|20)\d\d)+$")
_NEAR = (
    0.72  # similarity of names: `trian`, `vaild`, `tset` and `train1` are near, `rain` is too but is no part by itself
)


def part_of(name: str) -> str | None:
    """The part that a folder's name means: `val`, `Train-Set`, `test_videos` and `val2017` are names of parts.

    >>> part_of("Training_Data"), part_of("bus")
    ('train', None)
    """
    plain = re.sub(r"[\W_]", "", name.lower())
    return PART_OF.get(name.lower()) or PART_OF.get(plain) or PART_OF.get(_FURTHER_WORDS.sub("", plain))


def class_folders(root: str) -> list[ClassFolder]:
    """The class folders below a folder.

    A part holds folders: `train` and `bus` full of videos are two classes of vehicles.

    Raises:
        DataError: no such folder, or a folder whose name is nearly that of a part.
    """
    names = folders_in(root)
    inner = {name: folders_in(os.path.join(root, name)) for name in names}
    parts = {name: part for name in names if inner[name] and (part := part_of(name)) is not None}
    others = [name for name in names if name not in parts]
    _check_misspelt({name: found for name, found in inner.items() if found}, parts, root)
    if not parts or (others and "train" not in parts.values()):
        return [(None, os.path.join(root, name)) for name in names]
    # Folders with two spellings of one part, such as val and valid, are listed together.
    order = list(dict.fromkeys(parts.values()))
    return [
        (part, os.path.join(root, name, label))
        for name, part in sorted(parts.items(), key=lambda item: order.index(item[1]))
        for label in inner[name]
    ]


def report_left_out(root: str, folders: Sequence[ClassFolder], is_example: Callable[[str], bool], kind: str) -> None:
    """Warn of folders and files beside the class folders that hold examples or may have been meant as some.

    Args:
        root: the data set's folder.
        folders: its class folders.
        is_example: whether a file of this name is an example.
        kind: the word for it.
    """
    tops = {os.path.relpath(folder, root).split(os.sep)[0] for _, folder in folders}
    if others := [name for name in folders_in(root) if name not in tops]:
        _log.warning("%s: left out folders that are no parts: %s", root, first_few(others))
    levels = sorted({root, *(os.path.dirname(folder) for _, folder in folders)})
    beside = [
        os.path.relpath(entry.path, root)
        for level in levels
        for entry in sorted(os.scandir(level), key=lambda entry: entry.name)
        if is_example(entry.name) and not entry.name.startswith(".") and not entry.is_dir()
    ]
    if beside:
        what = f"left out {len(beside)} {kind}{'s' if len(beside) > 1 else ''} beside the class folders"
        _log.warning("%s: %s: %s", root, what, first_few(beside))
    hidden = [
        os.path.relpath(folder, root)
        for level in levels
        for folder in hidden_folders_in(level)
        if any(map(is_example, os.listdir(folder)))
    ]
    if hidden:
        _log.warning("%s: left out hidden folders with %ss in them: %s", root, kind, first_few(hidden))


def check_depth(root: str, listed: Mapping[str, Sequence[str]], *, one_is_enough: bool) -> None:
    """Say that sub-folders are no classes, if every example lies in one.

    Args:
        root: the data set's folder.
        listed: the examples of each class folder.
        one_is_enough: whether a single class can be used.

    Raises:
        DataError: there is only one class folder, so that its sub-folders are probably the classes.
    """
    inside: set[str] = set()
    for folder, paths in listed.items():
        for path in paths:
            name, below, _ = path[len(folder) + 1 :].partition(os.sep)
            if not below:
                return
            inside.add(name)
    classes = sorted({os.path.basename(folder) for folder, paths in listed.items() if paths})
    if not inside:
        return
    if len(classes) == 1 and not one_is_enough:
        folder = next(folder for folder, paths in listed.items() if paths)
        do = f"if these are the classes, give {folder}"
        raise DataError(f"one class only, with the folders {first_few(sorted(inside))}", folder, do)
    what = "their sub-folders" if len(classes) > 1 else "its sub-folders"
    _log.warning("%s: the classes are %s; %s are none: %s", root, first_few(classes), what, first_few(sorted(inside)))


def _check_misspelt(inner: Mapping[str, Sequence[str]], parts: Collection[str], root: str) -> None:
    """Check that no folder is a misspelt part: its name is near one, and its folders have the names of another's.

    Args:
        inner: names of the folders in each folder that has some.
        parts: those of them that are parts.
        root: the data set's folder.
    """
    near: dict[str, str] = {}
    for name in inner.keys() - parts:
        shared = any(not set(inner[name]).isdisjoint(inner[other]) for other in inner if other != name)
        found = get_close_matches(re.sub(r"[\W_]", "", name.lower()), PART_OF, n=1, cutoff=_NEAR)
        if shared and found:
            near[name] = PART_OF[found[0]]
    if near and len(near) + len(parts) > 1:
        name, part = min(near.items())
        do = f"rename it to {part}, or move it elsewhere if it is none"
        raise DataError(f"folder {name!r} may be meant as part {part!r}", root, do)
