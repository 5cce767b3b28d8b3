"""`open_data`: detects the format of a data set and lists it. It knows no format by name: each is a module in `formats/`."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from dataclasses import replace

from kinema.choices import DATA_FORMATS
from kinema.datasets.dataset import DataSet
from kinema.datasets.format import Format, ListOptions
from kinema.errors import DataError, UnknownName, UsageError, check_settings
from kinema.labels import Labels
from kinema.types import IMAGE_FPS
from kinema.video.refusals import refusal


def open_data(
    path: str | os.PathLike[str],
    *,
    format: str = "auto",
    group_by: Sequence[str] = (),
    labels: Labels | None = None,
    fold: int = 1,
    tiers: Sequence[str] = (),
    image_fps: float = IMAGE_FPS,
    faults: list[DataError] | None = None,
) -> DataSet:
    """List a data set; nothing is decoded.

    Args:
        path: a folder of class folders (with or without train, valid and test around them), a manifest (.csv, .tsv,
            .parquet), a folder with one called manifest.csv, or the lists of a published data set.
        format: one of `kinema.choices.DATA_FORMATS`; "auto" detects it by the files.
        group_by: columns of a manifest. Their values, joined by "/", name the group of a row; a split never divides a group.
        labels: classes that the data set must fit, such as those of a trained network. Then one class is enough.
        fold: which official fold, for UCF-101 and HMDB51: 1, 2 or 3.
        tiers: the tiers of ELAN files that hold actions; empty takes all that have times of their own.
        image_fps: frame rate of the examples that are folders of pictures.
        faults: gets the errors of rows that cannot be used, which are then left out; None raises the first of them.

    Raises:
        UsageError: an unknown format, or `group_by` for a format without columns.
        DataError: nothing there that can be used; says what to do.

    Example:
        >>> data = open_data("gestures")  # doctest: +SKIP
        >>> len(data), data.labels[0]  # doctest: +SKIP
        (658, '01_Horizontal_swiping')
    """
    path = os.fspath(path)
    if format not in DATA_FORMATS:
        raise UnknownName("format", format, DATA_FORMATS)
    if not os.path.exists(path):
        raise DataError("no such data set", path, _similar_path(path) or "check the path")
    if not os.path.isfile(path) and (error := refusal(path)) is not None:  # a pipe would be waited for
        raise DataError(error.what, error.where, error.do)
    chosen = detect_format(path) if format == "auto" else _load_format(format)
    if group_by and not chosen.has_columns:
        do = "write one with `kinema check DATA --out`"
        raise UsageError("group_by needs a manifest with these columns", path, do)
    check_settings({"image_fps": image_fps}, 1e-3, 1e4)
    options = ListOptions(labels=labels, group_by=tuple(group_by), fold=fold, tiers=tuple(tiers), faults=faults)
    data = chosen.list_data(path, options)
    return replace(data, image_fps=image_fps)


def detect_format(path: str) -> Format:
    """The first format, by priority, that detects a path; else the first that takes it as a fallback.

    Raises:
        DataError: no format takes it.
    """
    formats = sorted((_load_format(name) for name in DATA_FORMATS if name != "auto"), key=lambda f: f.priority)
    found = next((f for f in formats if f.detect(path)), None) or next((f for f in formats if f.fallback(path)), None)
    if found is None:
        do = "give a folder of class folders, or a manifest (CSV or Parquet with path,label)"
        raise DataError("not a data set", path, do)
    return found


def _load_format(name: str) -> Format:
    found: Format = importlib.import_module(f"kinema.datasets.formats.{name}").FORMAT
    return found


def _similar_path(path: str) -> str:
    """Suggests a neighbour of a missing path by its name; empty if there is none."""
    parent = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(parent):
        return f"the folder {parent} does not exist either"
    near = UnknownName("path", os.path.basename(path), os.listdir(parent)).near
    return f"Did you mean {os.path.join(os.path.dirname(path), near[0])}?" if near else ""
