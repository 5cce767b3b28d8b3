"""Manifests: a table with a row for each example, as CSV (comma, semicolon, tab or bar) or Parquet.

    path,label,start,end,split,group
    a.mp4,fight,,,train,match1
    b.mp4,run;jump,2.5,7,valid,match2
    c.mp4,,,,valid,match2

`path` and `label` are required. If rows have times, a row without label and times is a video in which nothing happens. Paths
are relative to the manifest's folder. `start` and `end` are seconds or clocks (1:23.5).
`group_by` can name further columns that say which rows belong together. `kinema.datasets.columns` reads other spellings.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.datasets.columns import COLUMNS, find_columns, unused_columns
from kinema.datasets.dataset import DataSet, check_listed, first_few, make_data_set
from kinema.datasets.format import Format, ListOptions
from kinema.datasets.lists import find_listed
from kinema.datasets.tables import (
    filled,
    is_table,
    join_labels,
    read_part,
    read_span,
    read_table,
    split_labels,
    write_table,
)
from kinema.errors import DataError, UnknownName, UsageError
from kinema.files import check_folder
from kinema.types import Example

if TYPE_CHECKING:
    from kinema.datasets.tables import Row

_log = logging.getLogger("kinema")

_NAMES = tuple(f"manifest{ending}" for ending in (".csv", ".tsv", ".parquet"))
"""Names by which a manifest is found in a folder, the preferred one first."""


def list_manifest(path: str, options: ListOptions) -> DataSet:
    """Read a manifest: a .csv, .tsv or .parquet file, or a folder with one.

    Raises:
        DataError: it cannot be read, a column or value is missing or wrong, or listed files do not exist.
        UnknownName: `group_by` names a column that does not exist.
    """
    path = _find_manifest(path)
    rows = read_table(path)
    for name in options.group_by:
        if name not in rows[0]:
            raise UnknownName("manifest column", name, rows[0])
    columns = find_columns(rows, path, options.group_by)
    if unused := unused_columns(rows[0], columns, options.group_by):
        _log.info("%s: columns not used: %s", path, first_few(unused, 10))
    examples = [example for _, example in _read_rows(rows, columns, path, options)]
    stem = Path(path).stem
    name = Path(path).absolute().parent.name if stem == "manifest" else stem
    return make_data_set(name, path, examples, options.labels)


def further_columns(path: str) -> dict[str, dict[str, str]]:
    """The columns without a meaning for kinema (cameras, places, notes), by the key of each example.

    Raises: as `list_manifest`.
    """
    rows = read_table(path)
    columns = find_columns(rows, path)
    own = {*columns.values(), *COLUMNS}
    return {
        example.key: {name: value for name, value in row.items() if name not in own}
        for row, example in _read_rows(rows, columns, path, ListOptions(faults=[]))
    }


def write_manifest(data: DataSet, path: str | Path, further: Mapping[str, Mapping[str, str]] | None = None) -> None:
    """Write a data set as a manifest that `open_data` reads back; paths are relative to the manifest's folder.

    Args:
        data: its examples become rows.
        path: a .csv, .tsv or .parquet file.
        further: more columns, by the keys of the examples; every example has the same.

    Raises:
        UsageError: an ending other than .csv, .tsv and .parquet.
        OutputError: the file cannot be written.
    """
    check_manifest_path(path)
    prefix = os.path.join(os.path.abspath(Path(path).parent), "")
    further = further or {}
    rows = []
    for example in data.examples:
        video = os.path.abspath(example.path)
        span = ("", "") if example.span is None else (repr(example.span.start_s), repr(example.span.end_s))
        own = (video.removeprefix(prefix), join_labels(example.labels), *span, example.split or "", example.group or "")
        rows.append([*own, *further.get(example.key, {}).values()])
    write_table(path, [*COLUMNS, *next(iter(further.values()), {})], rows)


def check_manifest_path(path: str | Path) -> None:
    """Make sure that a manifest can be written to a path.

    Raises:
        UsageError: an ending other than .csv, .tsv and .parquet.
        OutputError: its folder cannot be made.
    """
    if not is_table(path):
        raise UsageError("cannot choose a format by this ending", path, "use .csv, .tsv or .parquet")
    check_folder(Path(path).parent)


def _find_manifest(path: str) -> str:
    if not os.path.isdir(path):
        return path
    for name in _NAMES:
        if os.path.isfile(os.path.join(path, name)):
            return os.path.join(path, name)
    tables = sorted(name for name in os.listdir(path) if is_table(name))
    if len(tables) == 1:
        return os.path.join(path, tables[0])
    do = f"there are {', '.join(tables)}: name one" if tables else "give a CSV file with path,label"
    raise DataError("no manifest.csv in this folder", path, do)


def _read_rows(
    rows: Sequence[Row], columns: Mapping[str, str], path: str, options: ListOptions
) -> list[tuple[Row, Example]]:
    """Rows and their examples; rows that cannot be used are faults."""
    times = [columns[name] for name in ("start", "end") if name in columns]
    is_located = any(filled(row[name]) for row in rows for name in times)
    found: list[tuple[Row, Example]] = []
    seen: set[tuple[str, tuple[str, ...]]] = set()
    for row in rows:
        try:
            example = _read_row(row, columns, options.group_by, os.path.dirname(path), is_located)
            if options.faults is not None and (example.key, example.labels) in seen:
                raise DataError("a row stands twice", row.where, "remove one of them")
            seen.add((example.key, example.labels))
            found.append((row, example))
        except DataError as fault:
            options.report(fault)
    try:
        check_listed([example.path for _, example in found], path)
    except DataError as fault:
        options.report(fault)
        found = [(row, example) for row, example in found if os.path.exists(example.path)]
    return found


def _read_row(row: Row, columns: Mapping[str, str], group_by: Sequence[str], folder: str, is_located: bool) -> Example:
    values = {ours: row[theirs] for ours, theirs in columns.items()}
    labels = split_labels(values["label"])
    is_empty = not labels and not (is_located and not any(filled(values.get(name, "")) for name in ("start", "end")))
    if not values["path"] or is_empty or "nan" in (values["path"].lower(), *(label.lower() for label in labels)):
        raise DataError("an empty path or label", row.where, "fill it in or remove the row")
    if "\n" in values["path"] + values["label"]:
        raise DataError("a line break in a path or label", row.where, "close each quotation mark in its own line")
    if values["label"].startswith(("[", "{")):
        do = "write names, several as run;jump"
        raise DataError(f"a list or JSON as label: {values['label'][:40]}", row.where, do)
    source = [filled(row[name]) for name in group_by] if group_by else [filled(values.get("group", ""))]
    return Example(
        path=find_listed(folder, values["path"]),
        labels=labels,
        span=read_span(values.get("start", ""), values.get("end", ""), row.where),
        split=read_part(values.get("split", ""), row.where),
        group="/".join(source) if any(source) else None,
    )


FORMAT = Format(
    list_data=list_manifest,
    detect=lambda path: any(os.path.isfile(os.path.join(path, name)) for name in _NAMES),
    fallback=lambda path: not os.path.isdir(path) and is_table(path),
    priority=10,
    has_columns=True,
)
