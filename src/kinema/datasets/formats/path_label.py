"""Lists of paths and class numbers without a head, as TSN, mmaction2 and PySlowFast have them.

    some/path/1.mp4 0                  a video and its class; several classes as `1.mp4 0 4` or `1.mp4 0,4`
    some/frames_of_2 120 1             a folder of frames, the number of frames, and the class or classes
    /videos/3.mp4,2                    PySlowFast: separated by a space, a comma, or another mark

Paths are relative to the list's folder or to one beside or below it, whichever has them. The part is in the list's name
(`train.csv`, `kinetics400_val_list_videos.txt`); a folder with one list for each part is read as a whole. Class names are taken
from a file beside the list, see `kinema.datasets.class_names`; without one a class is called by its number. Listed files that do
not exist are left out, with one warning.
"""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from kinema.datasets.class_names import match_names, may_be_names, names_file, read_names
from kinema.datasets.dataset import DataSet, first_few, make_data_set
from kinema.datasets.format import Format, ListOptions
from kinema.datasets.lists import find_listed, leave_out_missing, numbered_lines, part_in_name, ucf101_group
from kinema.errors import DataError
from kinema.labels import Labels
from kinema.types import Example
from kinema.video.image_series import list_images

_log = logging.getLogger("kinema")

_ENDINGS = (".txt", ".csv", ".lst", ".list")
_LINE = re.compile(r"(?P<path>\S.*?)[\s,;|]+(?P<numbers>\d+(?:[\s,;|]+\d+)*)")
_HMDB51 = re.compile(r"_test_split\d\.txt$")  # its lists have parts in place of classes
_SAMPLE = 20


class Line(NamedTuple):
    """A line: its number from 1, the path as written, and the numbers behind it."""

    number: int
    written: str
    numbers: tuple[int, ...]


def find_lists(path: str) -> list[str]:
    """`path` itself, or the lists of parts directly in the folder; none if a list is of another kind or names no file there."""
    if not os.path.isdir(path):
        return [path] if _is_list(path) else []
    names = [os.path.join(path, name) for name in sorted(os.listdir(path)) if name.lower().endswith(_ENDINGS)]
    of_parts = [name for name in names if part_in_name(name) and os.path.isfile(name)]
    lists = [name for name in of_parts if _is_list(name) and _base(name, _read(name)) is not None]
    return lists if len(lists) == len(of_parts) else []


def list_path_label(path: str, options: ListOptions) -> DataSet:
    """List the videos of one list, or of the lists of a folder.

    Raises:
        DataError: no list, two lists of one part, a malformed line, a number without a name, or none of the files exists.
    """
    lists = find_lists(path)
    if not lists:
        raise DataError("no list of paths and class numbers", path, "write PATH NUMBER a line, such as `run/1.mp4 0`")
    part, count = Counter(map(part_in_name, lists)).most_common(1)[0]
    if count > 1:
        names = first_few(map(os.path.basename, lists), 6)
        raise DataError(f"{count} lists of the {part} part", f"{path} has {names}", "give one of the lists")
    listed = [(name, line, file) for name in lists for line, file in _find_files(name)]
    numbers = {line.written: line.numbers for _, line, _ in listed}
    if source := names_file(lists[0]):
        names_of = read_names(source)
        by_number = match_names(numbers, names_of, source)
        own = [name for _, name in sorted(names_of.items())]
        _log.info("%s: class names from %s", path, source)
    else:
        by_number = {number: str(number) for number in sorted({n for found in numbers.values() for n in found})}
        own = list(by_number.values())

    def example(name: str, line: Line, file: str) -> Example:
        labels = tuple(dict.fromkeys(by_number[number] for number in line.numbers))
        return Example(file, labels, split=part_in_name(name), group=ucf101_group(file))

    found = [(line.written, None if file is None else example(name, line, file)) for name, line, file in listed]
    stem = Path(path).absolute().stem
    return make_data_set(stem, path, leave_out_missing(found, path), options.labels, own=Labels(tuple(own)))


def _is_list(path: str) -> bool:
    name = os.path.basename(path)
    if not name.lower().endswith(_ENDINGS) or may_be_names(name) or _HMDB51.search(name) or not os.path.isfile(path):
        return False
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        lines = [line.strip() for line, _ in zip(file, range(_SAMPLE), strict=False)]
    lines = [line for line in lines if line and not line.startswith("#")]
    return bool(lines) and all(_LINE.fullmatch(line) and "://" not in line for line in lines)


def _read(path: str) -> list[Line]:
    lines = []
    for number, line in numbered_lines(path):
        match = _LINE.fullmatch(line)
        if match is not None:
            numbers = tuple(map(int, re.findall(r"\d+", match["numbers"])))
            lines.append(Line(number, match["path"].strip("\"'"), numbers))
        elif not line.startswith("#"):
            raise DataError("not a path and class numbers", f"{path}, line {number}", "write PATH NUMBER")
    return lines


def _base(path: str, lines: Sequence[Line]) -> str | None:
    """The folder to which the paths are relative: the list's, the one above, or one in these; None if no path exists."""
    folder = os.path.dirname(path)
    above = os.path.dirname(os.path.abspath(folder or "."))
    inside = [
        entry.path
        for place in (folder or ".", above)
        for entry in sorted(os.scandir(place), key=lambda entry: entry.name)
        if entry.is_dir()
    ]
    sample = lines[:: max(len(lines) // _SAMPLE, 1)]
    counts = {
        place: sum(os.path.exists(find_listed(place, line.written)) for line in sample)
        for place in (folder, above, *inside)
    }
    best = max(counts, key=lambda place: counts[place])
    return best if counts[best] else None


def _find_files(path: str) -> list[tuple[Line, str | None]]:
    """The lines of a list with the class numbers alone, and the file or folder of each; None if it does not exist."""
    lines = _read(path)
    base = _base(path, lines)
    if base is None:
        do = "put the list into the folder of the videos, or write absolute paths"
        raise DataError(f"none of the {len(lines)} listed videos exists", f"{path}, {lines[0].written}", do)
    found: list[tuple[Line, str | None]] = []
    is_checked = False
    for line in lines:
        file = find_listed(base, line.written)
        is_frames = len(line.numbers) > 1 and os.path.isdir(file)
        if is_frames and not is_checked:
            _check_count(file, line.numbers[0], f"{path}, line {line.number}")
            is_checked = True
        classes = line._replace(numbers=line.numbers[1:]) if is_frames else line
        found.append((classes, file if os.path.exists(file) else None))
    return found


def _check_count(folder: str, stated: int, where: str) -> None:
    """Check that the number behind a folder is that of its frames, give or take one: some lists count the flow between them."""
    count = len(list_images(folder))
    if abs(count - stated) > 1:
        do = "write FOLDER NUM_FRAMES CLASS; lists with offsets are not read: write a manifest with start and end"
        raise DataError(f"{stated} is not the number of frames, which is {count}", where, do)


FORMAT = Format(list_data=list_path_label, detect=lambda path: bool(find_lists(path)), priority=45)
