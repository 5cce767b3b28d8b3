"""Tables of text with named columns: CSV (comma, semicolon or tab), TSV and Parquet."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from pathlib import Path

from kinema import formats
from kinema.datasets.dataset import PART_OF, PARTS
from kinema.errors import DataError, MissingExtra
from kinema.files import whole_file, write_text
from kinema.types import TimeSpan

TABLE_ENDINGS = frozenset({".csv", ".tsv", ".parquet", ".pq"})
_PARQUET_ENDINGS = (".parquet", ".pq")


class Row(dict[str, str]):
    """The cells of a row as text, by column name.

    Attributes:
        where: the file and the first line of the row, counted as an editor does; for Parquet the number of the row.
    """

    def __init__(self, cells: Iterable[tuple[str, str]], where: str) -> None:
        super().__init__(cells)
        self.where = where


def is_table(path: str | Path) -> bool:
    """Whether a file is a table by its ending."""
    return Path(path).suffix.lower() in TABLE_ENDINGS


def read_table(path: str) -> list[Row]:
    """All rows of a CSV, TSV or Parquet file as text, by column name.

    Raises:
        DataError: the file cannot be read, or has no row.
        MissingExtra: Parquet without pyarrow.
    """
    try:
        rows = _read_parquet(path) if Path(path).suffix.lower() in _PARQUET_ENDINGS else _read_csv(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError("cannot read this table", path, "give a CSV file in UTF-8, or a Parquet file") from error
    if not rows:
        do = "the first line names the columns (path,label), each further line is an example"
        raise DataError("no rows", path, do)
    return rows


def write_table(path: str | Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table of text; the ending chooses the format. Empty cells are null in Parquet.

    Raises:
        OutputError: the file cannot be written.
        MissingExtra: Parquet without pyarrow.
    """
    ending = Path(path).suffix.lower()
    if ending not in _PARQUET_ENDINGS:
        write_text(path, formats.table_csv(header, rows, "\t" if ending == ".tsv" else ","))
        return
    try:
        from pyarrow import parquet, table
    except ImportError as error:
        raise MissingExtra("Parquet manifests", "pyarrow", "parquet") from error
    columns = {name: [row[i] or None for row in rows] for i, name in enumerate(header)}
    with whole_file(path) as temporary:
        parquet.write_table(table(columns), temporary)


def split_labels(text: str) -> tuple[str, ...]:
    r"""`run; jump` or `run|jump` as two names, without duplicates. `a\;b` is one name with a semicolon."""
    names = (re.sub(r"\\([;|])", r"\1", name).strip() for name in re.split(r"(?<!\\)[;|]", text))
    return tuple(dict.fromkeys(name for name in names if name))


def join_labels(labels: Iterable[str]) -> str:
    """The inverse of `split_labels`."""
    return ";".join(re.sub("([;|])", r"\\\1", label) for label in labels)


def read_part(text: str, where: str) -> str | None:
    """A part by any of its spellings; None for an empty cell.

    Raises:
        DataError: an unknown part.
    """
    if not text:
        return None
    part = PART_OF.get(text.lower())
    if part is None:
        raise DataError(f"no part called {text!r}", where, f"write {', '.join(PARTS)}")
    return part


def read_span(start: str, end: str, where: str) -> TimeSpan | None:
    """Two cells as a time span; None if both are empty. An end alone starts at 0; a start alone is an error.

    Raises:
        DataError: not two numbers with start < end.
    """
    if not start and not end:
        return None
    try:
        return TimeSpan(float(start or 0), float(end))
    except ValueError as error:
        raise DataError(f"no span: start {start!r}, end {end!r}", where, "give seconds with start < end") from error


def _read_csv(path: str) -> list[Row]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        header = next(filter(str.strip, file), "")
        delimiter = next((mark for mark in "\t,;" if mark in header), ",")
        file.seek(0)
        table = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
        names = next((cells for cells in (list(map(str.strip, row)) for row in table) if any(cells)), [])
        rows, first = [], table.line_num + 1
        for cells in table:
            if cells:  # csv gives an empty list for an empty line
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

    def text(value: object) -> str:
        if isinstance(value, list):
            return ";".join(str(item) for item in value)
        return "" if value is None else str(value).strip()

    cells = (((name, text(value)) for name, value in row.items()) for row in rows)
    return [Row(row, f"{path}, row {number}") for number, row in enumerate(cells, 1)]
