"""`open_data`: finds out what kind of data set a path is, and lists it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from kinema.datasets.dataset import DataSet
from kinema.datasets.formats import folder, hmdb51, kinetics, manifest, sports1m, ucf101
from kinema.errors import DataError, UnknownName, UsageError
from kinema.labels import Labels
from kinema.video.listing import is_image

FORMATS = ("auto", "folder", "manifest", "ucf101", "hmdb51", "kinetics", "sports1m", "stills")

MANIFEST_NAMES = tuple(f"manifest{ending}" for ending in (".csv", ".tsv", ".parquet"))


def open_data(
    path: str | os.PathLike[str],
    *,
    format: str = "auto",
    group_by: Sequence[str] = (),
    labels: Labels | None = None,
    fold: int = 1,
) -> DataSet:
    """List a data set; nothing is decoded.

    Args:
        path: a folder of class folders (with or without train, valid and test around them), a manifest (.csv, .tsv,
            .parquet), a folder with one called manifest.csv, or the lists of a published data set.
        format: one of `FORMATS`; "auto" looks at the files.
        group_by: columns of a manifest that name, joined by "/", what may not be torn by a split.
        labels: classes that it has to fit, as those of a trained network. Then one class is enough.
        fold: which official fold, for UCF-101 and HMDB51: 1, 2 or 3.

    Raises:
        UsageError: an unknown format, or `group_by` for something that has no columns.
        DataError: nothing there that can be used; says what to do.

    Example:
        >>> data = open_data("gestures")  # doctest: +SKIP
        >>> len(data), data.labels[0]  # doctest: +SKIP
        (658, '01_Horizontal_swiping')
    """
    path = os.fspath(path)
    if format not in FORMATS:
        raise UnknownName("format", format, FORMATS)
    if not os.path.exists(path):
        raise DataError("no such data set", path, _near(path) or "check the path")
    format = detect_format(path) if format == "auto" else format
    if format == "manifest":
        return manifest.list_manifest(_manifest_in(path), labels, group_by)
    if group_by:
        raise UsageError(
            "group_by needs a manifest with these columns", path, "write one with `kinema check DATA --out`"
        )
    if format == "ucf101":
        return ucf101.list_ucf101(path, labels, fold)
    if format == "hmdb51":
        return hmdb51.list_hmdb51(path, labels, fold)
    listers = {
        "folder": folder.list_folder,
        "stills": folder.list_stills,
        "kinetics": kinetics.list_kinetics,
        "sports1m": sports1m.list_sports1m,
    }
    return listers[format](path, labels)


def detect_format(path: str) -> str:
    """The format that the files tell, one of `FORMATS`.

    Raises:
        DataError: a file of a kind that is no list.
    """
    if not os.path.isdir(path):
        return _detect_file(path)
    signs: dict[str, Callable[[], object]] = {
        "manifest": lambda: any(os.path.isfile(os.path.join(path, name)) for name in MANIFEST_NAMES),
        "ucf101": lambda: ucf101.lists_folder(path),
        "hmdb51": lambda: hmdb51.lists_folder(path),
        "kinetics": lambda: kinetics.lists_in(path),
        "sports1m": lambda: sports1m.lists_in(path),
        "stills": lambda: _only_stills(path),
    }
    return next((name for name, is_it in signs.items() if is_it()), "folder")


def _detect_file(path: str) -> str:
    if kinetics.lists_in(path):
        return "kinetics"
    if Path(path).suffix.lower() in manifest.TABLE_ENDINGS:
        return "manifest"
    if sports1m.lists_in(path):
        return "sports1m"
    raise DataError(
        "not a data set", path, "give a folder of class folders, or a manifest (CSV or Parquet with path,label)"
    )


def _only_stills(path: str) -> bool:
    if folder.has_videos(path):
        return False
    return any(is_image(name) for _, _, names in folder.walk(path) for name in names)


def _manifest_in(path: str) -> str:
    if not os.path.isdir(path):
        return path
    names = [name for name in MANIFEST_NAMES if os.path.isfile(os.path.join(path, name))]
    tables = names or sorted(n for n in os.listdir(path) if Path(n).suffix.lower() in manifest.TABLE_ENDINGS)
    if len(tables) == 1 or names:
        return os.path.join(path, tables[0])
    found = f"there are {', '.join(tables)}: name one" if tables else "give a CSV file with path,label"
    raise DataError("no manifest.csv in this folder", path, found)


def _near(path: str) -> str:
    """Did you mean a neighbour of that name? Empty where there is none."""
    parent = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(parent):
        return f"the folder {parent} is not there either"
    near = UnknownName("path", os.path.basename(path), os.listdir(parent)).near
    return f"Did you mean {os.path.join(os.path.dirname(path), near[0])}?" if near else ""
