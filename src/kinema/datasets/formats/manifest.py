"""Manifests: a table with a row an example, as CSV (comma, semicolon or tab) or Parquet.

    path,label,start,end,split,group
    a.mp4,fight,,,train,match1
    b.mp4,run;jump,2.5,7,valid,match2

`path` and `label` have to be there. Paths count from the manifest's folder. `start` and `end` are seconds. Further
columns can be named by `group_by` to say which rows belong together.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

from kinema import formats
from kinema.datasets.dataset import PART_OF, PARTS, DataSet, check_listed, finish
from kinema.errors import DataError, MissingExtra, UnknownName, UsageError
from kinema.files import check_folder, whole_file, write_text
from kinema.labels import Labels
from kinema.types import Example, TimeSpan

TABLE_ENDINGS = frozenset({".csv", ".tsv", ".parquet", ".pq"})
COLUMNS = ("path", "label", "start", "end", "split", "group")

_SPELLINGS = {
    "path": ("path", "file", "video", "filename", "file_name", "video_path", "filepath", "file_path"),
    "label": ("label", "labels", "class", "classes", "category", "action"),
    "start": ("start", "start_s", "time_start", "start_time"),
    "end": ("end", "end_s", "time_end", "end_time"),
    "split": ("split", "part", "subset", "set"),
    "group": ("group", "source"),
}


class Row(dict[str, str]):
    """The cells of a row as text, by column name.

    Attributes:
        where: the file and the line that the row begins on, counted as an editor does; for Parquet the row.
    """

    def __init__(self, cells: Iterable[tuple[str, str]], where: str) -> None:
        super().__init__(cells)
        self.where = where


def list_manifest(path: str, labels: Labels | None = None, group_by: Sequence[str] = ()) -> DataSet:
    """Read a manifest.

    Args:
        path: a .csv, .tsv or .parquet file.
        labels: classes that it has to fit.
        group_by: columns whose values, joined by "/", name the group of a row; none where all of them are empty.

    Raises:
        DataError: it cannot be read, a column or value is missing or wrong, or listed files do not exist.
        UnknownName: `group_by` names a column that is not there.
    """
    rows = read_table(path)
    columns = _columns(rows[0], path)
    _check_groups(rows[0], group_by)
    folder = os.path.dirname(path)
    examples = [_example(row, columns, group_by, folder) for row in rows]
    check_listed([example.path for example in examples], path)
    stem = Path(path).stem
    name = Path(path).absolute().parent.name if stem == "manifest" else stem
    return finish(name, path, examples, labels)


def further_columns(path: str) -> dict[str, dict[str, str]]:
    """What a manifest says of each example, by its key, beside the columns that have a meaning: cameras, places, notes.

    Raises: as `list_manifest`.
    """
    rows = read_table(path)
    columns, folder = _columns(rows[0], path), os.path.dirname(path)
    own = {*columns.values(), *COLUMNS}
    return {
        _example(row, columns, (), folder).key: {name: value for name, value in row.items() if name not in own}
        for row in rows
    }


def write_manifest(data: DataSet, path: str | Path, further: Mapping[str, Mapping[str, str]] | None = None) -> None:
    """Write a data set as a manifest that `open_data` reads back; paths count from the manifest's folder.

    Args:
        data: its examples become rows.
        path: a .csv, .tsv or .parquet file.
        further: more columns, by the keys of the examples; the same for each.

    Raises:
        UsageError: an ending other than .csv, .tsv and .parquet.
        OutputError: it could not be written.
    """
    check_manifest_path(path)
    ending = Path(path).suffix.lower()
    folder = os.path.abspath(Path(path).parent)
    further = further or {}
    heads = [*COLUMNS, *next(iter(further.values()), {})]
    rows = [[*_row(example, folder), *further.get(example.key, {}).values()] for example in data.examples]
    if ending in (".parquet", ".pq"):
        _write_parquet(path, heads, rows)
    else:
        write_text(path, formats.table_csv(heads, rows, "\t" if ending == ".tsv" else ","))


def check_manifest_path(path: str | Path) -> None:
    """Make sure that a manifest can be written there.

    Raises:
        UsageError: an ending other than .csv, .tsv and .parquet.
        OutputError: its folder cannot be one.
    """
    if Path(path).suffix.lower() not in TABLE_ENDINGS:
        raise UsageError("cannot choose a format by this ending", path, "use .csv, .tsv or .parquet")
    check_folder(Path(path).parent)


def read_table(path: str) -> list[Row]:
    """All rows of a CSV, TSV or Parquet file as text, by column name.

    Raises:
        DataError: it cannot be read, or holds no row.
        MissingExtra: Parquet without pyarrow.
    """
    try:
        rows = _read_parquet(path) if Path(path).suffix.lower() in (".parquet", ".pq") else _read_csv(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError("cannot read this table", path, "give a CSV file in UTF-8, or a Parquet file") from error
    if not rows:
        raise DataError(
            "no rows", path, "the first line names the columns (path,label), each further line is an example"
        )
    return rows


def split_labels(text: str) -> tuple[str, ...]:
    r"""`run; jump` or `run|jump` as two names; none stands twice. `a\;b` is one name with a semicolon."""
    names = (re.sub(r"\\([;|])", r"\1", name).strip() for name in re.split(r"(?<!\\)[;|]", text))
    return tuple(dict.fromkeys(name for name in names if name))


def part_of(text: str, where: str) -> str | None:
    """A part by any of its spellings; None for an empty cell.

    Raises:
        DataError: none of them.
    """
    if not text:
        return None
    part = PART_OF.get(text.lower())
    if part is None:
        raise DataError(f"no part called {text!r}", where, f"write {', '.join(PARTS)}")
    return part


def _read_csv(path: str) -> list[Row]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        header = next(filter(str.strip, file), "")
        delimiter = next((mark for mark in "\t,;" if mark in header), ",")
        file.seek(0)
        table = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
        names = next((cells for cells in (list(map(str.strip, row)) for row in table) if any(cells)), [])
        rows, first = [], table.line_num + 1
        for cells in table:
            if cells:  # an empty line is none
                named = zip_longest(names, map(str.strip, cells[: len(names)]), fillvalue="")
                rows.append(Row(((name, cell) for name, cell in named if name), f"{path}, line {first}"))
            first = table.line_num + 1
    return rows


def _read_parquet(path: str) -> list[Row]:
    try:
        from pyarrow import ArrowInvalid, parquet
    except ImportError as error:
        raise MissingExtra("Parquet manifests", "pyarrow", "parquet") from error
    try:
        rows = parquet.read_table(path).to_pylist()
    except ArrowInvalid as error:
        raise OSError(str(error)) from error
    return [
        Row(((key, _text(value)) for key, value in row.items()), f"{path}, row {number}")
        for number, row in enumerate(rows, 1)
    ]


def _text(value: object) -> str:
    if isinstance(value, list):
        return ";".join(str(item) for item in value)
    return "" if value is None else str(value).strip()


def _columns(row: Row, path: str) -> dict[str, str]:
    """Our names of columns -> the file's; only those that are there."""
    by_name = {name.lower(): name for name in row}
    found = {ours: by_name[s] for ours, spellings in _SPELLINGS.items() for s in reversed(spellings) if s in by_name}
    for needed in ("path", "label"):
        if needed not in found:
            near = UnknownName("column", needed, row).near
            do = (
                f"Did you mean {near[0]}? Rename it to {needed}"
                if near
                else "the first line names the columns: path,label"
            )
            raise DataError(f"no column {needed!r}", f"{path} has {', '.join(row)}", do)
    return found


def _check_groups(row: Row, group_by: Sequence[str]) -> None:
    for name in group_by:
        if name not in row:
            raise UnknownName("manifest column", name, row)


def _example(row: Row, columns: dict[str, str], group_by: Sequence[str], folder: str) -> Example:
    values = {ours: row[theirs] for ours, theirs in columns.items()}
    names = split_labels(values["label"])
    if not values["path"] or not names:
        raise DataError("an empty path or label", row.where, "fill it in or take the row out")
    source = [row[name] for name in group_by] if group_by else [values.get("group", "")]
    return Example(
        path=os.path.join(folder, os.path.normpath(values["path"])),
        labels=names,
        span=read_span(values.get("start", ""), values.get("end", ""), row.where),
        split=part_of(values.get("split", ""), row.where),
        group="/".join(source) if any(source) else None,
    )


def read_span(start: str, end: str, where: str) -> TimeSpan | None:
    """Two cells as a span; None where both are empty. A start alone is not enough, an end alone starts at 0.

    Raises:
        DataError: not two numbers with start < end.
    """
    if not start and not end:
        return None
    try:
        return TimeSpan(float(start or 0), float(end))
    except ValueError as error:
        raise DataError(f"no span: start {start!r}, end {end!r}", where, "give seconds with start < end") from error


def _row(example: Example, folder: str) -> list[str]:
    path = os.path.abspath(example.path)
    inside = os.path.relpath(path, folder) if path.startswith(os.path.join(folder, "")) else path
    span = ("", "") if example.span is None else (repr(example.span.start_s), repr(example.span.end_s))
    return [
        inside,
        ";".join(re.sub("([;|])", r"\\\1", label) for label in example.labels),
        *span,
        example.split or "",
        example.group or "",
    ]


def _write_parquet(path: str | Path, heads: Sequence[str], rows: list[list[str]]) -> None:
    try:
        from pyarrow import parquet, table
    except ImportError as error:
        raise MissingExtra("Parquet manifests", "pyarrow", "parquet") from error
    columns = {name: [row[i] or None for row in rows] for i, name in enumerate(heads)}
    with whole_file(path) as temporary:
        parquet.write_table(table(columns), temporary)
