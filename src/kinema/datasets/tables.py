"""Tables of text with named columns: CSV (comma, semicolon, tab or bar; UTF-8 or UTF-16), TSV and Parquet."""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice, zip_longest
from pathlib import Path

from kinema import formats
from kinema.datasets.dataset import PART_OF, PARTS
from kinema.errors import DataError, MissingExtra
from kinema.files import whole_file, write_text
from kinema.types import TimeSpan

TABLE_ENDINGS = frozenset({".csv", ".tsv", ".parquet", ".pq"})
_PARQUET_ENDINGS = (".parquet", ".pq")
_MARKS = "\t;,|"
_EMPTY = {"nan", "nat", "<na>", "#n/a", "n/a", "na", "null", "none"}
"""What programs write for an empty cell, in lower case. A class may have such a name, so labels are not compared with these."""

_END = "\0"
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:\.\d*)?)")


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


def read_table(path: str, column: str = "") -> list[Row]:
    """All rows of a CSV, TSV or Parquet file as text, by column name.

    Args:
        path: the file.
        column: in CSV, lines before the one that names this column are skipped, because they are notes.

    Raises:
        DataError: the file cannot be read, or has no row.
        MissingExtra: Parquet without pyarrow.
    """
    try:
        rows = _read_parquet(path) if Path(path).suffix.lower() in _PARQUET_ENDINGS else _read_csv(path, column)
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
        write_text(path, formats.table_csv(header, rows, "\t" if ending == ".tsv" else ",", exact=True))
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


def filled(text: str) -> str:
    """A cell of numbers or names of parts; empty for NaN and the like, which programs write for an empty cell."""
    return "" if text.lower() in _EMPTY else text


def read_part(text: str, where: str) -> str | None:
    """A part by any of its spellings; None for an empty cell.

    Raises:
        DataError: an unknown part.
    """
    if not filled(text):
        return None
    part = PART_OF.get(text.lower())
    if part is None:
        do = f"write {', '.join(PARTS)}, or rename the column if it holds something else"
        raise DataError(f"no part called {text!r}", where, do)
    return part


def read_span(start: str, end: str, where: str) -> TimeSpan | None:
    """Two cells as a time span; None if both are empty. An end alone starts at 0; a start alone is an error.

    A cell holds seconds, such as 83.5, 83,5 or 83.5 s, or a clock, such as 1:23.5 or 00:01:23.5.

    Raises:
        DataError: not two times with 0 <= start < end.
    """
    start, end = filled(start), filled(end)
    if not start and not end:
        return None
    try:
        span = TimeSpan(_read_time(start) if start else 0.0, _read_time(end))
        if span.start_s < 0:
            raise ValueError("a start before the video")
    except ValueError as error:
        do = "give seconds or h:m:s, with 0 <= start < end"
        raise DataError(f"no span: start {start!r}, end {end!r}", where, do) from error
    return span


def _read_time(text: str) -> float:
    """Seconds of a cell. Raises ValueError if it is no time."""
    number = re.sub(r"\s*s(ec(onds?)?)?$", "", text, flags=re.IGNORECASE).replace(",", ".")
    if clock := _CLOCK.fullmatch(number):
        hours, minutes, seconds = int(clock[1] or 0), int(clock[2]), float(clock[3])
        if seconds >= 60 or (clock[1] and minutes >= 60):
            raise ValueError(f"not a time: {text}")
        return hours * 3600 + minutes * 60 + seconds
    return float(number)


def read_text(path: str) -> str:
    """The text of a file in UTF-8, or in UTF-16, which Excel calls Unicode text."""
    data = Path(path).read_bytes()
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    if data.startswith(b"PK\x03\x04"):
        raise DataError("an Excel workbook, not a CSV file", path, "save it as CSV UTF-8")
    if b"\0" in data[:2]:  # UTF-16 without a byte order mark: the first letter is a Latin one
        return data.decode("utf-16-be" if data[0] == 0 else "utf-16-le")
    return data.decode("utf-8-sig")


def _delimiter(text: str) -> str:
    """The mark that divides the most of the first rows into as many cells as the first row, which has more than one."""

    def fit(mark: str) -> tuple[int, int]:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=mark, skipinitialspace=True)
        lengths = [len(cells) for cells in islice(filter(any, rows), 20)]
        alike = sum(length == lengths[0] for length in lengths) if lengths else 0
        return (alike, lengths[0]) if alike and lengths[0] > 1 else (0, 0)

    return max(_MARKS, key=fit) if any(fit(mark)[0] for mark in _MARKS) else ","


def _read_csv(path: str, column: str = "") -> list[Row]:
    text = read_text(path)
    named = re.match(r"\s*sep=(.)\r?\n", text)  # Excel's own way to name the delimiter
    delimiter = named[1] if named else _delimiter(text)
    # The end is marked by a row of its own: a quotation mark that is never closed takes all following rows into one cell.
    table = csv.reader(io.StringIO(f"{text}\n{_END}", newline=""), delimiter=delimiter, skipinitialspace=True)
    if named:
        next(table)
    heads = (cells for cells in (list(map(str.strip, row)) for row in table) if any(cells))
    names = next((cells for cells in heads if not column or column in cells), [])
    _check_names(names, path)
    rows, first = [], table.line_num + 1
    for cells in table:
        if cells and cells != [_END]:  # csv gives an empty list for an empty line
            where = f"{path}, line {first}"
            _check_cells(cells, len(names), delimiter, where)
            named_cells = zip_longest(names, map(str.strip, cells[: len(names)]), fillvalue="")
            rows.append(Row(((name, cell) for name, cell in named_cells if name), where))
        first = table.line_num + 1
    return rows


def _check_cells(cells: Sequence[str], num_columns: int, delimiter: str, where: str) -> None:
    """Check that a row has no more cells than there are columns, and that its quotation marks are closed."""
    if cells[-1].endswith(_END):
        do = "close it, or write each quotation mark inside a cell twice"
        raise DataError("a quotation mark is not closed", where, do)
    if any(map(str.strip, cells[num_columns:])):
        do = f'put a cell that holds {delimiter!r} into quotes, as "a{delimiter} b"'
        raise DataError(f"{len(cells)} cells in a row, but {num_columns} columns", where, do)


def _check_names(names: Sequence[str], path: str) -> None:
    """Check that no two columns have the same name."""
    twice = [name for name, count in Counter(name.lower() for name in names if name).items() if count > 1]
    if twice:
        raise DataError(f"two columns are called {twice[0]!r}", path, "rename or remove one of them")


def _read_parquet(path: str) -> list[Row]:
    try:
        from pyarrow import ArrowInvalid, parquet
    except ImportError as error:
        raise MissingExtra("Parquet manifests", "pyarrow", "parquet") from error
    try:
        table = parquet.read_table(path)
        _check_names(table.column_names, path)
        rows = table.to_pylist()
    except ArrowInvalid as error:
        raise OSError(str(error)) from error

    def text(value: object) -> str:
        if isinstance(value, list):
            return ";".join(str(item) for item in value)
        empty = value is None or (isinstance(value, float) and math.isnan(value))
        return "" if empty else str(value).strip()

    cells = (((name, text(value)) for name, value in row.items()) for row in rows)
    return [Row(row, f"{path}, row {number}") for number, row in enumerate(cells, 1)]
