"""`kinema check`: whether a data set can be trusted, before a night is spent on training."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinema.choices import DataFormat
from kinema.console.outputs import check_result
from kinema.console.progress import TerminalProgress
from kinema.console.tables import plain_console
from kinema.errors import check_settings
from kinema.machine import num_cores

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import RenderableType
    from rich.table import Table

    from kinema.datasets.check import CheckReport
    from kinema.datasets.dataset import DataSet

_MOST_ROWS = 20
_log = logging.getLogger("kinema")


@dataclass(frozen=True, kw_only=True)
class CheckConfig:
    """How closely to look, and where the result goes."""

    format: DataFormat = "auto"
    """How the data set is laid out; auto looks."""
    group_by: tuple[str, ...] = ()
    """Manifest columns that together name the source of a video; sources in two parts are reported."""
    near: bool = True
    """Also look for files that look alike: in different parts, or anywhere if there are no parts; --near=false does not."""
    full: bool = False
    """Decode every frame, to find damage in the middle of a file. Slow."""
    threads: int | None = None
    """Files looked at at the same time; without it one for each core."""
    out: str | None = None
    """Write a manifest (.csv, .tsv or .parquet) without bad files and copies."""
    json: bool = False
    """Print one JSON document on standard output and nothing else there."""

    def __post_init__(self) -> None:
        check_settings({"threads": self.threads}, 1)


def check(data: str, config: CheckConfig = CheckConfig()) -> int:
    """Look for files that cannot be read, copies, torn sources and uneven classes in a data set.

    Every file is opened and a few frames of it are decoded. The exit status is 1 if a file is bad: unreadable, empty,
    damaged, or with a span that begins after its end. Copies and near-copies in different parts are no bad files, but
    they make validation flatter a network.

    Examples:
        kinema check hockey --out clean.csv

    Args:
        data: a folder of class folders, a manifest (.csv, .parquet), or a data set's list file.
    """
    import sys

    from rich.text import Text

    from kinema.datasets import open_data
    from kinema.datasets.formats.manifest import check_manifest_path

    if config.out:
        check_manifest_path(config.out)
        check_result(config.out, [data])
    report = _run(open_data(data, format=config.format, group_by=config.group_by), config)
    if config.json:
        sys.stdout.write(json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n")
    else:
        console = plain_console()
        for part in render(report):
            console.print(part, soft_wrap=isinstance(part, Text))
    if config.out:
        _write_clean(report, config.out)
    return 1 if report.bad else 0


def _write_clean(report: CheckReport, path: str) -> None:
    from kinema.datasets.formats.manifest import TABLE_ENDINGS, further_columns, write_manifest
    from kinema.errors import DataError

    clean, root = report.clean(), Path(report.data.root)
    if not clean.examples:
        raise DataError("nothing is left without bad files and copies", report.data.root, "add videos that can be read")
    is_table = root.is_file() and root.suffix.lower() in TABLE_ENDINGS
    write_manifest(clean, path, further_columns(report.data.root) if is_table else None)
    _log.info("%s: %d of %d examples", path, len(clean), len(report.data))


def _run(data: DataSet, config: CheckConfig) -> CheckReport:
    from kinema.datasets.check import check_data

    with TerminalProgress().count("checking", len({example.path for example in data.examples})) as advance:
        threads = config.threads or num_cores()
        return check_data(data, near=config.near, full=config.full, num_threads=threads, advance=advance)


def render(report: CheckReport) -> Iterator[RenderableType]:
    """The report as tables and lines for a terminal."""
    from rich.text import Text

    yield Text(f"{report.data.name}: {len(report.data)} examples in {len(report.files)} files")
    yield _class_table(report)
    yield _summary(report)
    yield from _listed("bad files", [file.reason for file in report.bad])
    others = [paths for paths in report.duplicates if paths not in report.leaking and paths not in report.conflicting]
    for title, copies in (
        ("same bytes in different parts: validation sees what was learned", report.leaking),
        ("same bytes, different labels: nobody can tell which is right", report.conflicting),
        ("same bytes", others),
    ):
        yield from _listed(title, [" = ".join(_short(path, report) for path in paths) for paths in copies])
    near = [
        f"{_short(pair.path, report)} ~ {_short(pair.other, report)} ({pair.distance} of 256 bits differ)"
        for pair in report.near
    ]
    yield from _listed("pairs that look alike, of one film or scene: keep both in one part, by group", near)
    yield from _listed("groups that stand in two parts", report.torn)


def _class_table(report: CheckReport) -> Table:
    from rich.table import Table
    from rich.text import Text

    data = report.data
    columns = {part: data.part(part).counts() for part in data.parts} or {"examples": data.counts()}
    table = Table("class")
    for name in columns:
        table.add_column(name, justify="right")
    for label in data.labels:
        table.add_row(Text(label), *(str(counts[label]) for counts in columns.values()))
    return table


def _summary(report: CheckReport) -> RenderableType:
    from rich.text import Text

    found: dict[str, Any] = report.to_json()
    lengths = found["durations_s"]
    lines = []
    if lengths:
        lines.append(f"length: {lengths['min']:g} to {lengths['max']:g} s, half of them under {lengths['median']:g} s")
    lines.append(f"frame rates: {_most(found['frame_rates'])}")
    lines.append(f"sizes: {_most(found['sizes'])}")
    lines.append("bad files: none" if not report.bad else f"bad files: {len(report.bad)} of {len(report.files)}")
    return Text("\n".join(lines))


def _most(counts: dict[str, int]) -> str:
    shown = [f"{value} ({count})" for value, count in list(counts.items())[:5]]
    return ", ".join(shown) + (f" and {len(counts) - 5} more" if len(counts) > 5 else "")


def _listed(title: str, rows: Iterable[str]) -> Iterator[RenderableType]:
    """A heading with its number and the first rows; nothing for none."""
    from rich.text import Text

    lines = list(rows)
    if lines:
        more = [f"  and {len(lines) - _MOST_ROWS} more (--json prints all)"] if len(lines) > _MOST_ROWS else []
        yield Text("\n".join([f"{title}: {len(lines)}", *(f"  {line}" for line in lines[:_MOST_ROWS]), *more]))


def _short(path: str, report: CheckReport) -> str:
    from kinema.datasets.dataset import path_within

    return path_within(path, report.data.root)
