"""`kinema check`: find errors in a data set before a long training."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from kinema.choices import DataFormat
from kinema.console.outputs import check_result
from kinema.console.progress import TerminalProgress
from kinema.console.tables import plain_console
from kinema.errors import DataError, check_settings
from kinema.machine import num_cores
from kinema.types import IMAGE_FPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import RenderableType
    from rich.table import Table

    from kinema.datasets.check import CheckReport

_MAX_LINES = 20
_log = logging.getLogger("kinema")


@dataclass(frozen=True, kw_only=True)
class CheckConfig:
    """How thorough the check is, and where the result goes."""

    format: DataFormat = "auto"
    """Format of the data set; auto detects it."""
    tiers: tuple[str, ...] = ()
    """Tiers of ELAN files that hold actions; default: all that have times of their own."""
    image_fps: float = IMAGE_FPS
    """Frame rate of folders of pictures."""
    group_by: tuple[str, ...] = ()
    """Manifest columns that together name the source of a video; sources in two parts are reported."""
    near: bool = True
    """Also find near-copies: in different parts, or anywhere if there are no parts; --near=false turns it off."""
    full: bool = False
    """Decode every frame to find damage in the middle of a file. Slow."""
    threads: int | None = None
    """Files that are checked at the same time; default: one for each core."""
    out: str | None = None
    """Write a manifest (.csv, .tsv or .parquet) without bad files and copies."""
    json: bool = False
    """Print one JSON document on standard output and nothing else there."""

    def __post_init__(self) -> None:
        check_settings({"threads": self.threads}, 1)


def check(data: str, config: CheckConfig = CheckConfig()) -> int:
    """Find files that cannot be read, copies, sources in two parts and uneven classes in a data set.

    Every file is opened and a few of its frames are decoded. The exit status is 1 if a file is bad: unreadable, empty,
    damaged, or with a span that begins after its end. It is also 1 if a row cannot be used: no video, no time, an end that
    is not after the start, the same row twice. Copies and near-copies in different parts are no bad files, but make the
    validation figures too high. Actions that overlap another one of their class or end after their video are named.

    Examples:
        kinema check hockey --out clean.csv

    Args:
        data: a folder of class folders, a manifest (.csv, .parquet), or a data set's list file.
    """
    import sys

    from rich.text import Text

    from kinema.datasets import open_data
    from kinema.datasets.check import check_data
    from kinema.datasets.formats.manifest import check_manifest_path

    if config.out:
        check_manifest_path(config.out)
        check_result(config.out, [data])
    faults: list[DataError] = []
    listed = open_data(
        data,
        format=config.format,
        group_by=config.group_by,
        tiers=config.tiers,
        image_fps=config.image_fps,
        faults=faults,
    )
    with TerminalProgress().count("checking", len({example.path for example in listed.examples})) as advance:
        num_threads = config.threads or num_cores()
        report = check_data(
            listed, near=config.near, full=config.full, num_threads=num_threads, faults=faults, advance=advance
        )
    if config.json:
        sys.stdout.write(json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n")
    else:
        console = plain_console()
        for part in render(report):
            console.print(part, soft_wrap=isinstance(part, Text))
    if config.out:
        _write_clean(report, config.out)
    return 1 if report.bad or report.faults else 0


def _write_clean(report: CheckReport, path: str) -> None:
    from kinema.datasets.formats.manifest import further_columns, write_manifest
    from kinema.datasets.tables import TABLE_ENDINGS
    from kinema.errors import DataError

    clean, root = report.clean(), Path(report.data.root)
    if not clean.examples:
        raise DataError("nothing is left without bad files and copies", report.data.root, "add videos that can be read")
    is_table = root.is_file() and root.suffix.lower() in TABLE_ENDINGS
    write_manifest(clean, path, further_columns(report.data.root) if is_table else None)
    _log.info("%s: %d of %d examples", path, len(clean), len(report.data))


def render(report: CheckReport) -> Iterator[RenderableType]:
    """The report as tables and lines for a terminal."""
    from rich.text import Text

    yield Text(f"{report.data.name}: {len(report.data)} examples in {len(report.files)} files")
    yield _class_table(report)
    found, num_bad = report.to_json(), len(report.bad)
    lines = []
    if lengths := cast("dict[str, float]", found["durations_s"]):
        lines.append(f"length: {lengths['min']:g} to {lengths['max']:g} s, half of them under {lengths['median']:g} s")
    lines.append(f"frame rates: {_most_common(found['frame_rates'])}")
    lines.append(f"sizes: {_most_common(found['sizes'])}")
    lines.append(f"bad files: {num_bad} of {len(report.files)}" if num_bad else "bad files: none")
    yield Text("\n".join(lines))
    yield from _section("rows that cannot be used", report.faults)
    if (located := report.located) is not None:
        yield Text(f"videos without any action: {located.num_videos_without_actions}")
        yield from _section("actions that end after their video", located.past_end)
        yield from _section("actions that overlap another one of their class", located.overlapping)
        yield from _section("classes in one part only", located.in_one_part)
    yield from _section("bad files", [file.reason for file in report.bad])
    others = [paths for paths in report.duplicates if paths not in report.leaking and paths not in report.conflicting]
    for title, copies in (
        ("same bytes in different parts: validation uses training videos", report.leaking),
        ("same bytes, different labels: the right label is unknown", report.conflicting),
        ("same bytes", others),
    ):
        yield from _section(title, [" = ".join(_short(path, report) for path in paths) for paths in copies])
    near = [
        f"{_short(pair.path, report)} ~ {_short(pair.other, report)} ({pair.distance} of 256 bits differ)"
        for pair in report.near
    ]
    yield from _section("near-copies, of one video or scene: keep both in one part, by group", near)
    yield from _section("groups in two parts", report.torn)


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


def _most_common(found: object) -> str:
    counts = cast("dict[str, int]", found)
    shown = [f"{value} ({count})" for value, count in list(counts.items())[:5]]
    return ", ".join(shown) + (f" and {len(counts) - 5} more" if len(counts) > 5 else "")


def _section(title: str, rows: Iterable[str]) -> Iterator[RenderableType]:
    """A heading with the number of rows, and the first of them; nothing without rows."""
    from rich.text import Text

    lines = list(rows)
    if lines:
        more = [f"  and {len(lines) - _MAX_LINES} more (--json prints all)"] if len(lines) > _MAX_LINES else []
        yield Text("\n".join([f"{title}: {len(lines)}", *(f"  {line}" for line in lines[:_MAX_LINES]), *more]))


def _short(path: str, report: CheckReport) -> str:
    from kinema.datasets.dataset import path_within

    return path_within(path, report.data.root)
