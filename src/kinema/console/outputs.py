"""Results may replace earlier results of the same command, but never an input, a run or a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from kinema.errors import OutputError
from kinema.files import check_folder

_MARKS = {
    "environment.json": "a run",
    "model.json": "a checkpoint",
    "compare.json": "a comparison",
    "evaluation.json": "an evaluation",
    "film_rendered.mp4": "a demonstration",
}
"""The kind of a folder, by a file that only such folders have."""


def check_results(folder: str | Path, names: Iterable[str], own: str) -> None:
    """Make sure that results in a folder only replace earlier results of the same command.

    Args:
        folder: of the results; it need not exist.
        names: of the files that will be written.
        own: the file that marks a folder with results of this command.

    Raises:
        OutputError: the folder holds other results, or one of the files, or cannot be a folder.
    """
    check_folder(folder)
    place, do = Path(folder), "give another --out"
    _check_kind(place, own)
    if (place / own).exists():
        return
    for name in names:
        if (place / name).exists():
            raise OutputError("there is a file of that name", place / name, do)


def check_result(path: str | Path, inputs: Iterable[str | Path]) -> None:
    """Make sure that a single file replaces no input, and no file of a run or of other results.

    Raises:
        OutputError: it would.
    """
    path = Path(path)
    if not path.exists():
        return
    if any(os.path.exists(given) and path.samefile(given) for given in inputs):
        raise OutputError("an input is never overwritten", path, "give --out another name")
    _check_kind(path.parent)


def _check_kind(folder: Path, own: str = "") -> None:
    for mark, kind in _MARKS.items():
        if mark != own and (folder / mark).exists():
            raise OutputError(f"{kind} is never overwritten", folder, "give another --out")
