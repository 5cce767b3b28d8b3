"""Tracks on standard output as they come, in files, and as a report at the end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from kinema.choices import TrackFileFormat, TrackFormat
from kinema.console.prediction_printer import clock
from kinema.console.tables import Column, plain_console, print_list
from kinema.files import write_text
from kinema.localization.statistics import label_statistics
from kinema.predictions import Failure
from kinema.text import json_line
from kinema.track_formats import label_map, to_text
from kinema.tracks import Track, VideoTracks

REPORT, _LABEL_MAP = "report.html", "labels.pbtxt"
ENDINGS: Mapping[TrackFileFormat, str] = {
    "json": ".json",
    "ava": ".csv",
    "mot": ".txt",
    "coco": ".json",
    "cvat": ".xml",
}
_MANY = 100
"""Persons in the table of a video; files have all of them."""


def file_format(kind: TrackFormat) -> TrackFileFormat:
    """The format of each video's file: JSON where a table is printed."""
    return "json" if kind == "table" else kind


def file_names(kind: TrackFormat, names: Mapping[str, Path]) -> list[str]:
    """The files that are written for some videos."""
    maps = [_LABEL_MAP] if kind == "ava" else []
    return [f"{name}{ENDINGS[file_format(kind)]}" for name in names.values()] + maps


def document(video: VideoTracks, *, stats: bool) -> dict[str, object]:
    """The JSON document of a video, with statistics of each person if they are wanted."""
    values = video.to_json()
    if stats:
        values["statistics"] = [{**track.presence().to_json(), "labels": _label_rows(track)} for track in video.tracks]
    return values


def _label_rows(track: Track) -> list[dict[str, object]]:
    return [row.to_json() for row in label_statistics({str(track.id): track.labels})]


class TrackPrinter:
    """Prints tracks on standard output as they come.

    Args:
        kind: the format.
        single: whether there is one video only.
        to_files: whether they are also written to files; other formats than the table and JSON are then not printed.
        stats: whether statistics of each person are wanted.
    """

    def __init__(self, kind: TrackFormat, *, single: bool, to_files: bool, stats: bool) -> None:
        self.kind, self.single, self.to_files, self.stats = kind, single, to_files, stats
        self.console = plain_console()

    def __call__(self, outcome: VideoTracks | Failure) -> None:
        """Print one outcome; a failure is printed as JSON only."""
        if self.kind == "json":
            shown = outcome.to_json() if isinstance(outcome, Failure) else document(outcome, stats=self.stats)
            print(json_line(shown), flush=True)
        elif isinstance(outcome, Failure):
            return
        elif self.kind != "table":
            if not self.to_files:
                print(to_text(outcome, self.kind), end="", flush=True)
        elif self.single or self.stats:
            self._print_table(outcome)
        else:
            self.console.print(f"{outcome.path}  {_summary(outcome)}", soft_wrap=True)

    def _print_table(self, video: VideoTracks) -> None:
        title = f"{video.path}  {video.info.duration_s:.1f} s  {_summary(video)}"
        self.console.print(title, style="bold", soft_wrap=True)
        if not video.tracks:
            return
        columns = [
            Column("person", 0, "right"),
            Column("from", 0, "right"),
            Column("to", 0, "right"),
            Column("score", 3, "right"),
        ]
        if self.stats:
            heads = (("seen (s)", 1), ("times", 4), ("longest gap (s)", 5))
            columns += [Column(heading, rank, "right") for heading, rank in heads]
        if video.classes:
            columns.append(Column("does", 0, least=20))
        print_list(columns, [self._row(track, bool(video.classes)) for track in video.tracks[:_MANY]])
        if len(video.tracks) > _MANY:
            self.console.print(f"and {len(video.tracks) - _MANY} more: give --json or --out")

    def _row(self, track: Track, with_labels: bool) -> list[str]:
        there = track.presence()
        row = [str(track.id), clock(there.first_s), clock(there.last_s), f"{track.score:.0%}"]
        if self.stats:
            row += [f"{there.seen_s:.1f}", str(there.times), f"{there.longest_gap_s:.1f}"]
        if with_labels:
            rows = label_statistics({str(track.id): track.labels})
            row.append(", ".join(f"{found.label} {found.total_s:.1f} s" for found in rows) or "-")
        return row


def _summary(video: VideoTracks) -> str:
    count = len(video.tracks)
    return "nobody found" if not count else f"{count} person{'' if count == 1 else 's'}"


class TrackFiles:
    """Writes a file for each video into a folder, and a report.

    Args:
        folder: where to.
        kind: the printed format.
        names: where the file of each video goes, without an ending.
        stats: whether statistics of each person are wanted.
    """

    def __init__(self, folder: str, kind: TrackFormat, names: Mapping[str, Path], *, stats: bool) -> None:
        self._folder, self._kind, self._names, self._stats = Path(folder), file_format(kind), names, stats
        self._outcomes: list[VideoTracks | Failure] = []

    def write(self, outcome: VideoTracks | Failure) -> None:
        """Write the file of one video."""
        self._outcomes.append(outcome)
        if isinstance(outcome, Failure):
            return
        path = self._folder / f"{self._names[outcome.path]}{ENDINGS[self._kind]}"
        if self._kind == "json":
            write_text(path, json_line(document(outcome, stats=self._stats)) + "\n")
        else:
            write_text(path, to_text(outcome, self._kind))
        if self._kind == "ava" and outcome.classes:
            write_text(self._folder / _LABEL_MAP, label_map(outcome.classes))

    def report(self, detector: str) -> Path:
        """Write the table of all videos and persons; returns its path."""
        from kinema.evaluation.report import Report

        found = [one for one in self._outcomes if isinstance(one, VideoTracks)]
        count = f"{len(found)} video{'' if len(found) == 1 else 's'}"
        report = Report("Persons", f"{count}, {detector}").add_section("Videos")
        rows: list[list[object]] = [[one.path, round(one.info.duration_s, 1), len(one.tracks)] for one in found]
        report.add_table(["video", "seconds", "persons"], rows)
        persons: list[list[object]] = []
        for one in found:
            for track in one.tracks[:_MANY]:
                there = track.presence()
                labels = ", ".join(row.label for row in label_statistics({"": track.labels}))
                times = [round(value, 1) for value in (there.first_s, there.last_s, there.seen_s)]
                persons.append([one.path, track.id, *times, round(track.score, 4), labels])
        if persons:
            heads = ["video", "person", "first seen (s)", "last seen (s)", "seen (s)", "score", "does"]
            report.add_section("Persons").add_table(heads, persons, shares=("score",))
        failed = [
            cast("list[object]", [one.path, str(one.error)]) for one in self._outcomes if isinstance(one, Failure)
        ]
        if failed:
            report.add_section("Files that could not be read").add_table(["video", "error"], failed)
        path = self._folder / REPORT
        report.write(path)
        return path
