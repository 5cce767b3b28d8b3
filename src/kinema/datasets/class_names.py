"""Names of classes that a list gives as numbers, from a file beside the list.

classInd.txt, classes.txt, labels.txt, label_map_k400.txt      a name a line, alone or with its number before or behind it
kinetics_classnames.json                                       {"name": number}, {"number": "name"}, or a list of names
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from kinema.datasets.lists import part_in_name, read_lines
from kinema.errors import DataError

_FILE = re.compile(
    r"(.*[_-])?(class(es|_?names|ind|ids)?|labels?|label_?map|categories)([_-].*)?\.(txt|json)", re.IGNORECASE
)


def may_be_names(path: str) -> bool:
    """Whether a file holds class names by its name; `train_labels.txt` is a list of videos."""
    return _FILE.fullmatch(os.path.basename(path)) is not None and part_in_name(path) is None


def names_file(path: str) -> str | None:
    """A file of class names in the folder of a list, in its folder `annotations`, or in the folder above; None without one."""
    folder = os.path.dirname(path) or "."
    for place in (folder, os.path.join(folder, "annotations"), os.path.join(folder, "..")):
        for name in sorted(os.listdir(place)) if os.path.isdir(place) else []:
            file = os.path.normpath(os.path.join(place, name))
            if may_be_names(name) and os.path.isfile(file):
                return file
    return None


def read_names(path: str) -> dict[int, str]:
    """Class names by their numbers, which are those of the file, else counted from 0.

    Raises:
        DataError: the file cannot be read, or two classes have one number.
    """
    found = _from_json(path) if path.lower().endswith(".json") else _from_lines(read_lines(path))
    names = {number: name.strip().strip("\"'") for number, name in found}
    if not names or len(names) != len(found):
        raise DataError("no class names, or two of one number", path, "write one name a line, as `0 run`")
    return names


def match_names(numbers: Mapping[str, Sequence[int]], names: Mapping[int, str], source: str) -> dict[int, str]:
    """The name of each class number of a list, also if the list counts from 0 and the names from 1, or the other way round.

    Args:
        numbers: class numbers of each listed path; paths whose folder is named after a class decide how numbers are counted.
        names: class names by number.
        source: the file of names, for messages.

    Raises:
        DataError: a number without a name, or names that contradict those of the folders.
    """
    used = sorted({number for found in numbers.values() for number in found})
    shifts = [shift for shift in (0, 1, -1) if all(number + shift in names for number in used)]
    if not shifts:
        number = next((number for number in reversed(used) if number not in names), used[-1])
        raise DataError(f"no name for class number {number}", source, f"it names numbers {min(names)} to {max(names)}")
    known = {_plain(name) for name in names.values()}
    named = [(found, folder) for path, found in numbers.items() if (folder := _plain(Path(path).parent.name)) in known]
    for shift in shifts:
        if all(folder in {_plain(names[number + shift]) for number in found} for found, folder in named):
            return {number: names[number + shift] for number in used}
    number, folder = next((f[0], folder) for f, folder in named if _plain(names[f[0] + shifts[0]]) != folder)
    what = f"class {number} is {names[number + shifts[0]]!r}, but a video of it lies in a folder {folder!r}"
    raise DataError(what, source, "give the right file of class names, or remove this one")


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


def _from_json(path: str) -> list[tuple[int, str]]:
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8-sig"))
        if isinstance(found, list):
            return list(enumerate(map(str, found)))
        return [(int(b), str(a)) if isinstance(b, int) else (int(a), str(b)) for a, b in found.items()]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        do = 'write {"name": number}, or a list of names'
        raise DataError("cannot read these class names", path, do) from error


def _from_lines(lines: Collection[str]) -> list[tuple[int, str]]:
    for pattern in (r"(?P<number>\d+)[\s,;:]+(?P<name>\S.*)", r"(?P<name>\S.*?)[\s,;:]+(?P<number>\d+)"):
        pairs = [(int(match["number"]), match["name"]) for line in lines if (match := re.fullmatch(pattern, line))]
        if len(pairs) == len(lines) and _counts(number for number, _ in pairs):
            return pairs
    return list(enumerate(lines))


def _counts(numbers: Iterable[int]) -> bool:
    """Whether numbers are all those from 0 or 1 on: numbers that are part of a name are not."""
    found = sorted(numbers)
    return found in (list(range(len(found))), list(range(1, len(found) + 1)))
