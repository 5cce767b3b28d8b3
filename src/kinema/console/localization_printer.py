"""Located actions on standard output as they come, in files, and as a report at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.choices import FileFormat, LocalizationFormat
from kinema.console.prediction_printer import MAX_TIMELINES, USUAL_TOP, clock, frames_seen
from kinema.console.tables import Column, plain_console, print_list
from kinema.files import write_json
from kinema.localization.statistics import LabelStatistics, label_statistics
from kinema.localizations import ENDINGS, Localization
from kinema.located_formats import activitynet, fiftyone
from kinema.predictions import Failure, Prediction
from kinema.text import json_line

if TYPE_CHECKING:
    from kinema.evaluation.report import Report

REPORT = "report.html"
NOTHING = "nothing found"
_MANY_SEGMENTS = 100
"""Segments in the table of a video; files have all of them."""
_JOINED: Mapping[LocalizationFormat, tuple[str, ...]] = {
    "activitynet": ("activitynet.json",),
    "fiftyone": ("labels.json", "data.json"),
}
"""Files of the formats that have the segments of all videos in one."""


def file_names(kind: LocalizationFormat, names: Mapping[str, Path]) -> list[str]:
    """The files that are written for some videos."""
    ending = ENDINGS[file_format(kind)]
    return [*_JOINED.get(kind, ())] or [f"{name}{ending}" for name in names.values()]


def file_format(kind: LocalizationFormat) -> FileFormat:
    """The format of each video's file; JSON where the printed one has none."""
    return next((own for own in ENDINGS if own == kind), "json")


def document(localization: Localization, *, stats: bool, top: int = USUAL_TOP) -> dict[str, object]:
    """The JSON document of a video, with the statistics of its labels if they are wanted."""
    values = localization.to_json(top)
    if stats:
        values["statistics"] = [each.to_json() for each in statistics_of(localization)]
    return values


def statistics_of(localization: Localization) -> tuple[LabelStatistics, ...]:
    """How often, how long and when, for each label that was found."""
    return label_statistics({localization.path: localization.segments})


class LocalizationPrinter:
    """Prints located actions on standard output as they come.

    Args:
        kind: the format.
        single: whether there is one video only.
        to_files: whether they are also written to files; other formats than the table and JSON are then not printed.
        stats: whether statistics of labels are wanted.
    """

    def __init__(self, kind: LocalizationFormat, *, single: bool, to_files: bool, stats: bool) -> None:
        self.kind, self.single, self.to_files, self.stats = kind, single, to_files, stats
        self.console = plain_console()
        self.has_header = False
        self.kept: list[Prediction] = []
        """Of all videos, without their scores over time."""

    def __call__(self, outcome: Localization | Failure) -> None:
        """Print one outcome; a failure is printed as JSON only."""
        if isinstance(outcome, Localization) and (self.stats or self.kind == "activitynet"):
            self.kept.append(replace(outcome.prediction, timeline=None))
        if self.kind == "json":
            shown = outcome.to_json() if isinstance(outcome, Failure) else document(outcome, stats=self.stats)
            print(json_line(shown), flush=True)
        elif isinstance(outcome, Failure):
            return
        elif self.kind == "table":
            (self._print_table if self.single else self._print_line)(outcome)
        elif self.to_files:
            return
        elif self.kind != "activitynet":
            text = outcome.to_text(file_format(self.kind))
            if self.has_header and self.kind in ("csv", "boris"):
                text = text.partition("\n")[2]
            self.has_header = True
            print(text, end="", flush=True)

    def finish(self) -> None:
        """Print what all videos have in common."""
        if self.kind == "activitynet" and not self.to_files:
            print(json_line(activitynet(self.kept)), flush=True)
        elif self.kind == "table" and self.stats and not self.single:
            print("\nall videos")
            print_statistics(label_statistics({one.path: one.segments for one in self.kept}))

    def _print_table(self, localization: Localization) -> None:
        from rich.table import Table

        found, length = localization.segments, localization.span.duration_s
        heading = f"{localization.path}  {length:.1f} s{frames_seen(localization.prediction)}"
        self.console.print(heading, style="bold", soft_wrap=True)
        if not found:
            self.console.print(NOTHING)
            return
        table = Table("from", "to", "label", box=None, pad_edge=False)
        table.add_column("score", justify="right")
        for one in found[:_MANY_SEGMENTS]:
            table.add_row(clock(one.span.start_s), clock(one.span.end_s), one.label, _score(one.score))
        self.console.print(table)
        if len(found) > _MANY_SEGMENTS:
            self.console.print(f"… and {len(found) - _MANY_SEGMENTS} more; --format csv has all of them")
        if self.stats:
            print()
            print_statistics(statistics_of(localization))

    def _print_line(self, localization: Localization) -> None:
        counts = Counter(segment.label for segment in localization.segments)
        found = ", ".join(f"{label} x {count}" if count > 1 else label for label, count in counts.most_common())
        seen = frames_seen(localization.prediction)
        self.console.print(f"{localization.path}  {found or NOTHING}{seen}", soft_wrap=True)


def _score(score: float) -> str:
    """A share as percents, any other number as it is."""
    return f"{score:.1%}" if 0 <= score <= 1 else f"{score:.3g}"


def print_statistics(statistics: Sequence[LabelStatistics]) -> None:
    """Print a row for each label: how often, how long, first, last, gaps."""
    rows = [
        [
            each.label, str(each.count), _length(each.total_s), _length(each.mean_s), clock(each.first_s),
            clock(each.last_s), _length(each.mean_gap_s),
        ]
        for each in statistics
    ]  # fmt: skip
    columns = [
        Column("label", 0), Column("times", 1, "right"), Column("in all", 2, "right"), Column("mean", 4, "right"),
        Column("first from", 3, "right"), Column("last to", 5, "right"), Column("mean gap", 6, "right"),
    ]  # fmt: skip
    print_list(columns, rows)


def _length(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f} s"


class LocalizationFiles:
    """Writes a file for each video, files of all videos, and a report.

    Args:
        folder: of the files.
        kind: the format.
        names: where the files of each video go, see `output_names`.
        stats: whether statistics of labels are wanted.
    """

    def __init__(self, folder: str, kind: LocalizationFormat, names: Mapping[str, Path], *, stats: bool) -> None:
        self.folder, self.kind, self.names, self.stats = Path(folder), kind, names, stats
        self.kept: list[Localization] = []
        self.failures: list[Failure] = []

    def add(self, outcome: Localization | Failure) -> None:
        """Write the file of a video, and keep what the report shows."""
        if isinstance(outcome, Failure):
            self.failures.append(outcome)
            return
        if self.kind not in _JOINED:
            kind = file_format(self.kind)
            path = self.folder / f"{self.names[outcome.path]}{ENDINGS[kind]}"
            if kind == "json":
                write_json(path, document(outcome, stats=self.stats))
            else:
                outcome.save(path)
        if len(self.kept) >= MAX_TIMELINES:  # the report draws no more, and timelines of many videos fill the memory
            outcome = replace(outcome, prediction=replace(outcome.prediction, timeline=None))
        self.kept.append(outcome)

    def finish(self, model: str) -> Path:
        """Write the files of all videos and the report; gives the path of the report."""
        if self.kind == "activitynet":
            write_json(self.folder / _JOINED[self.kind][0], activitynet(one.prediction for one in self.kept))
        if self.kind == "fiftyone":
            named = {self.names[one.path].as_posix(): one.prediction for one in self.kept}
            labels = self.kept[0].labels if self.kept else ()
            for name, values in zip(_JOINED[self.kind], fiftyone(named, labels), strict=True):
                write_json(self.folder / name, values)
        path = self.folder / REPORT
        self._write_report(path, model)
        return path

    def _write_report(self, path: Path, model: str) -> None:
        from kinema.charts import class_colours
        from kinema.evaluation.report import Report

        count = f"{len(self.kept)} video{'' if len(self.kept) == 1 else 's'}"
        ways = {f", way {one.way}" for one in self.kept}
        report = Report("Located actions", f"{count}, {model}{''.join(sorted(ways))}").add_section("Videos")
        rows = [
            [one.path, round(one.span.duration_s, 1), len(one.segments), _labels(one)] for one in self.kept
        ]  # fmt: skip
        report.add_table(["video", "seconds", "segments", "labels"], rows)
        if self.failures:
            failed = [[one.path, str(one.error)] for one in self.failures]
            report.add_section("Files that could not be read").add_table(["video", "error"], failed)
        for one in self.kept[:MAX_TIMELINES]:
            report.add_section(Path(one.path).name).add_figure(one.plot(class_colours(one.labels)))
            if self.stats and one.segments:
                _add_statistics(report, one)
        report.write(path)


def _labels(localization: Localization) -> str:
    """The labels that were found, the most frequent first."""
    counts = Counter(segment.label for segment in localization.segments)
    return ", ".join(f"{label} x {count}" for label, count in counts.most_common()) or NOTHING


def _add_statistics(report: Report, localization: Localization) -> None:
    rows = [list(each.to_json().values()) for each in statistics_of(localization)]
    heads = [name.replace("_s", " (s)").replace("_", " ") for name in statistics_of(localization)[0].to_json()]
    report.add_table(heads, rows)
