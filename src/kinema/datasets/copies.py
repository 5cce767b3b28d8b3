"""Validation videos that are copies of training videos: they raise the scores of a network that has memorised its data."""

from __future__ import annotations

import filecmp
import logging
import os
from collections import defaultdict
from collections.abc import Iterator

from kinema.datasets.dataset import DataSet, first_few, path_within

_log = logging.getLogger("kinema")
_SAMPLED_BYTES = 4096
"""Bytes from the middle of files of equal size that are compared before whole files are."""


def warn_of_copies(training: DataSet, validation: DataSet) -> None:
    """Warn of validation files that equal a training file byte for byte. Most files need one read of a few kilobytes.

    Videos that were cut or encoded again are found by `kinema check`, which decodes them.
    """
    by_size: defaultdict[int, dict[bytes, list[str]]] = defaultdict(lambda: defaultdict(list))
    sizes = {size for _, size in _files(validation)}
    for path, size in _files(training):
        if size in sizes:
            by_size[size][_middle_bytes(path, size)].append(path)
    found = []
    for path, size in _files(validation):
        for other in by_size[size][_middle_bytes(path, size)]:
            if not os.path.samefile(path, other) and filecmp.cmp(path, other, shallow=False):
                found.append(f"{path_within(path, validation.root)} = {path_within(other, training.root)}")
                break
    if found:
        what = "copies of training videos in the validation part, so its scores are too high (`kinema check --out` removes them)"
        _log.warning("%s: %d %s: %s", validation.root, len(found), what, first_few(found))


def _files(data: DataSet) -> Iterator[tuple[str, int]]:
    """Each file once, with its size; image folders, empty files and missing files are left out."""
    for path in dict.fromkeys(example.path for example in data.examples):
        if os.path.isfile(path) and (size := os.path.getsize(path)):
            yield path, size


def _middle_bytes(path: str, size: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(max(size - _SAMPLED_BYTES, 0) // 2)
        return file.read(_SAMPLED_BYTES)
