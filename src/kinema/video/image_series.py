"""Which pictures of a folder are the frames of one video, and in what order.

    img_00001.jpg … img_00012.jpg, flow_x_00001.jpg …    the 12 of img_: pictures of optical flow are left out
    a_1.png … a_9.png, b_1.png … b_9.png                 an error: two videos
    frame_1.png … frame_12.png, Thumbs.db, ._frame_1.png the 12 of frame_, in the order of their numbers

Pictures without a common pattern in their names are taken as they are, in natural order.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import gcd

import numpy as np
from numpy.typing import NDArray

from kinema.errors import UnreadableVideo
from kinema.video.listing import is_image, natural_key

_DIGITS = re.compile(r"\d+")
_FLOW = re.compile(r"(opt(ical)?[_-]?)?flow|^[xyuv][_-]?#$", re.IGNORECASE)
_PREVIEWS = frozenset({"cover", "folder", "poster", "preview", "thumb", "thumbnail", "contact_sheet"})
_MOST_SINGLE = 0.2  # share of pictures outside all series from which on the names follow no pattern


def list_images(folder: str | os.PathLike[str]) -> list[str]:
    """Paths of the images in a folder that are the frames of one video, in order.

    Raises:
        UnreadableVideo: the images are several videos, or two have the same number.
    """
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if is_image(e.name) and not e.name.startswith(".") and e.is_file()]
    names = [name for name in names if _stem(name).lower() not in _PREVIEWS] or names
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[_DIGITS.sub("#", _stem(name))].append(name)
    series = {key: part for pattern, found in groups.items() if len(found) > 1 for key, part in _divide(pattern, found)}
    num_single = len(names) - sum(map(len, series.values()))
    if series and num_single <= _MOST_SINGLE * len(names):
        names = _choose(series, sorted(set(names).difference(*series.values())), folder)
    return [os.path.join(folder, name) for name in sorted(names, key=natural_key)]


def frame_places(paths: Sequence[str]) -> NDArray[np.int64]:
    """The place of each picture in its series [n], from 0, by the numbers in the names: a missing number leaves a place empty.

    Numbers that rise by 5 each time leave none empty. If most places would be empty, the numbers do not count frames.
    """
    places = np.arange(len(paths), dtype=np.int64)
    numbers = [int(found[-1]) for path in paths if (found := _DIGITS.findall(_stem(path)))]
    patterns = {_DIGITS.sub("#", _stem(path)) for path in paths}
    if len(paths) < 3 or len(numbers) < len(paths) or len(patterns) > 1 or max(numbers) > 1 << 53:
        return places
    steps = [after - before for before, after in pairwise(numbers)]
    if min(steps) < 1:
        return places
    by_number: NDArray[np.int64] = (np.array(numbers, np.int64) - numbers[0]) // gcd(*steps)
    return by_number if by_number[-1] < 2 * len(paths) else places


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]


def _divide(pattern: str, names: Sequence[str]) -> Iterable[tuple[str, list[str]]]:
    """The series among names of one pattern: `cam1_001` and `cam2_001` are two, clock times such as `12-30-01` are one."""
    numbers = {name: _DIGITS.findall(_stem(name)) for name in names}
    varying = [place for place in range(pattern.count("#") - 1) if len({int(n[place]) for n in numbers.values()}) > 1]
    before = [text[-1:] for text in pattern.split("#")]
    parts: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in names:
        parts[tuple(numbers[name][:-1])].append(name)
    sets = [{int(numbers[name][-1]) for name in part} for part in parts.values()]
    shared = len(sets) > 1 and all(2 * len(a & b) > min(len(a), len(b)) for a, b in pairwise(sets))
    if varying and shared and all(before[place].isalpha() for place in varying) and min(map(len, sets)) > 1:
        return [(_fill(pattern, key), part) for key, part in parts.items()]
    return [(pattern, list(names))]


def _fill(pattern: str, numbers: Iterable[str]) -> str:
    for number in numbers:
        pattern = pattern.replace("#", number, 1)
    return pattern


def _choose(series: dict[str, list[str]], single: Sequence[str], folder: str | os.PathLike[str]) -> list[str]:
    """The names of the one series that is not of optical flow."""
    others = {key: names for key, names in series.items() if not _FLOW.search(key)} or series
    kinds = [f"{key.replace('#', 'N')} ({len(names)})" for key, names in others.items()] + list(single)
    if len(kinds) > 1:
        more = f" and {len(kinds) - 4} more" if len(kinds) > 4 else ""
        do = "put the frames of each video into a folder of its own"
        raise UnreadableVideo(f"pictures of {len(kinds)} kinds in one folder: {', '.join(kinds[:4])}{more}", folder, do)
    names = next(iter(others.values()))
    places: dict[tuple[int, ...], str] = {}
    for name in names:
        number = tuple(map(int, _DIGITS.findall(_stem(name))))
        if other := places.get(number) if number else None:
            do = "keep one of them, or put each series into a folder of its own"
            raise UnreadableVideo(f"two pictures of one number, {other} and {name}", folder, do)
        places[number] = name
    return names
