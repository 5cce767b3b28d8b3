"""What formats of data sets share: walking folders, reading text lists, and finding the videos that a list names."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from kinema.datasets.dataset import PART_OF, first_few
from kinema.errors import DataError
from kinema.labels import composed
from kinema.types import Example
from kinema.video.listing import holds_results, is_video, natural_key, report_closed_folder

_log = logging.getLogger("kinema")
_UCF101_NAME = re.compile(r"^v_(.+_g\d+)_c\d+$")

Folder = tuple[str, list[str], list[str]]
"""The path of a folder, with the names of the folders and files in it."""


def folders_in(root: str) -> list[str]:
    """Names of the visible folders in a folder, in natural order.

    Raises:
        DataError: there is no such folder.
    """
    try:
        with os.scandir(root) as entries:
            return sorted((e.name for e in entries if e.is_dir() and not _is_hidden(e.name)), key=natural_key)
    except OSError as error:
        raise DataError("no such folder", root, "check the path of the data set") from error


def hidden_folders_in(root: str) -> list[str]:
    """Paths of the hidden folders in a folder, which `folders_in` and `walk` leave out."""
    with os.scandir(root) as entries:
        return sorted(entry.path for entry in entries if entry.is_dir() and _is_hidden(entry.name))


def walk(root: str, depth: int | None = None) -> Iterator[Folder]:
    """`root` and all visible folders below it, with the names of their visible folders and files, in natural order.

    Folders that kinema wrote, such as training runs, are left out with everything in them.

    Args:
        root: where to begin.
        depth: number of levels below `root`; None is unlimited.
    """
    deepest = root.rstrip(os.sep).count(os.sep) + (depth or 0)
    seen: set[str] = set()  # symbolic links can form circles
    report = report_closed_folder if os.path.isdir(root) else None  # a list of examples is a file with nothing below it
    for where, folders, names in os.walk(root, followlinks=True, onerror=report):
        if (real := os.path.realpath(where)) in seen or (where != root and holds_results(names)):
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted((name for name in folders if not _is_hidden(name)), key=natural_key)
        yield where, list(folders), sorted((name for name in names if not _is_hidden(name)), key=natural_key)
        if depth is not None and where.count(os.sep) >= deepest:
            folders.clear()


def find_folder(root: str, matches: Callable[[Sequence[str], Sequence[str]], bool]) -> str | None:
    """The first folder, `root` or up to two levels below it, whose folder names and file names match."""
    return next((where for where, folders, names in walk(root, 2) if matches(folders, names)), None)


def find_class_folders(root: str, classes: Iterable[str]) -> str:
    """The first folder up to two levels below `root` that holds a folder of one of the classes; else `root`."""
    wanted = set(classes)
    return find_folder(root, lambda folders, _: not wanted.isdisjoint(folders)) or root


def ucf101_group(path: str) -> str | None:
    """The source video in a UCF-101 file name: `v_Diving_g01_c02.avi` gives `Diving_g01`; None for other names."""
    match = _UCF101_NAME.match(os.path.splitext(os.path.basename(path))[0])
    return match.group(1) if match else None


def part_in_name(path: str) -> str | None:
    """The part in the name of a list: "valid" for `kinetics400_val_list.txt`, "train" for `trainlist01.txt`; None without one."""
    stem = os.path.splitext(os.path.basename(path))[0].lower()
    words = [*re.split(r"[\W_\d]+", stem), re.sub(r"list\d*$", "", stem)]
    return next((PART_OF[word] for word in words if word in PART_OF), None)


def read_lines(path: str) -> list[str]:
    """The non-empty lines of a text file, stripped.

    Raises:
        DataError: the file cannot be read.
    """
    return [line for _, line in numbered_lines(path)]


def numbered_lines(path: str) -> list[tuple[int, str]]:
    """The non-empty lines of a text file, stripped, each with its line number from 1.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            return [(number, line.strip()) for number, line in enumerate(file, 1) if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("cannot read this list", path, "check that the file exists and is complete") from error


def find_listed(folder: str, name: str) -> str:
    """The file that a list names, relative to the list's folder.

    A name that does not exist as it is written may be written with backslashes, or in another Unicode form than on the disk.
    If there is no such file either, the path is as written.
    """
    path = os.path.join(folder, os.path.normpath(name))
    if os.path.lexists(path):
        return path
    slashed = os.path.normpath(name.replace("\\", "/"))
    other = os.path.join(folder, slashed)
    return other if os.path.lexists(other) else _find_by_parts(folder, slashed) or path


def _find_by_parts(folder: str, name: str) -> str | None:
    """A path whose folders and file may each be in another Unicode form; None if it does not exist."""
    if name.isascii():
        return None
    found = os.sep if name.startswith(os.sep) else folder
    for part in filter(None, name.split(os.sep)):
        same = os.path.join(found, part)
        if not os.path.lexists(same):
            names = os.listdir(found or ".") if os.path.isdir(found or ".") else []
            entry = next((entry for entry in names if composed(entry) == composed(part)), None)
            if entry is None:
                return None
            same = os.path.join(found, entry)
        found = same
    return found


def videos_by_stem(path: str) -> dict[str, str]:
    """All video files below a folder, or below the folder of a list, by their names without ending."""
    root = path if os.path.isdir(path) else os.path.dirname(path) or "."
    videos = ((where, name) for where, _, names in walk(root) for name in names if is_video(name))
    return {os.path.splitext(name)[0]: os.path.join(where, name) for where, name in videos}


def leave_out_missing(listed: Sequence[tuple[str, Example | None]], source: str) -> list[Example]:
    """The examples whose files exist; one warning counts the others.

    Args:
        listed: the name of each example in the list, and the example, or None if its file is missing.
        source: path of the list, for messages.

    Raises:
        DataError: all files are missing.
    """
    missing = [name for name, example in listed if example is None]
    if listed and len(missing) == len(listed):
        do = "put the videos into the folder of the list, or below it"
        raise DataError(f"none of the {len(listed)} listed videos exists", f"{source}, {first_few(missing)}", do)
    if missing:
        what = f"left out {len(missing)} of {len(listed)} listed videos that do not exist"
        _log.warning("%s: %s: %s", source, what, first_few(missing))
    return [example for _, example in listed if example is not None]


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))
