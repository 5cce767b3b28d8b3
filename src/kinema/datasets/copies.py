"""Validation videos that are copies of training videos: a figure that counts them says how well a network remembers."""

from __future__ import annotations

import filecmp
import logging
import os
from collections import defaultdict
from collections.abc import Iterator

from kinema.datasets.dataset import DataSet, first_few, path_within

_log = logging.getLogger("kinema")
_GLANCE = 4096
"""Bytes from the middle of files of one size that are compared before the whole files are."""


def warn_of_copies(learning: DataSet, validation: DataSet) -> None:
    """Name the validation files that are training files byte for byte; one read of a few kilobytes a file finds them.

    Files cut anew or encoded anew are found by `kinema check`, which decodes them.
    """
    pairs = _copies(learning, validation)
    found = [f"{path_within(path, validation.root)} = {path_within(other, learning.root)}" for path, other in pairs]
    if found:
        what = "copies of training videos in the validation part, which then flatters (`kinema check --out` leaves them out)"
        _log.warning("%s: %d %s: %s", validation.root, len(found), what, first_few(found))


def _copies(learning: DataSet, validation: DataSet) -> Iterator[tuple[str, str]]:
    by_size: defaultdict[int, dict[bytes, list[str]]] = defaultdict(lambda: defaultdict(list))
    sizes = {size for _, size in _files(validation)}
    for path, size in _files(learning):
        if size in sizes:
            by_size[size][_glance(path, size)].append(path)
    for path, size in _files(validation):
        for other in by_size[size][_glance(path, size)]:
            if not os.path.samefile(path, other) and filecmp.cmp(path, other, shallow=False):
                yield path, other
                break


def _files(data: DataSet) -> Iterator[tuple[str, int]]:
    """Each file once, with its size; folders of pictures, empty files and those that are gone are left out."""
    for path in dict.fromkeys(example.path for example in data.examples):
        if os.path.isfile(path) and (size := os.path.getsize(path)):
            yield path, size


def _glance(path: str, size: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(max(size - _GLANCE, 0) // 2)
        return file.read(_GLANCE)
