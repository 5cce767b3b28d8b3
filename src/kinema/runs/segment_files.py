"""Read true and answered segments and events from files: JSON of ActivityNet and SoccerNet, tables, and a label for each frame.

Every segment keeps where it stands, so that an error names the file and the row.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kinema.datasets.tables import Row, is_table, read_span, read_table
from kinema.errors import DataError
from kinema.evaluation.framewise import runs_of
from kinema.evaluation.located.segments import SegmentTable
from kinema.evaluation.located.spotting import SpottedEvent

_VIDEO_COLUMNS = ("video", "path")
_JSON = '{"segment": [START, END], "label": NAME} in seconds, answers with "score"'
_EVENT_JSON = '{"position": MILLISECONDS, "half": 1, "label": NAME}, answers with "confidence"'
_COLUMNS = "columns: video,start,end,label,score"


class _Found(NamedTuple):
    """A segment or an event as it stands in a file; `where` is the file and the row."""

    video: str
    label: str
    start_s: float
    end_s: float
    score: float
    where: str
    visible: bool = True


@dataclass(frozen=True)
class SegmentFile:
    """The segments of a file.

    Args:
        path: the file.
        table: its segments.
        where: the file and the row of each segment.
        durations_s: lengths of the videos, if the file has them.
    """

    path: str
    table: SegmentTable
    where: Sequence[str] = ()
    durations_s: Mapping[str, float] = field(default_factory=dict)


def read_segments(path: str, subset: str = "", *, labelled: bool = True) -> SegmentFile:
    """Read a file of segments.

    Args:
        path: JSON in the format of ActivityNet ("database" with annotations, or "results" with scores); a CSV, TSV or Parquet
            table with the columns video (or path), start, end, label and, for answers, score; or a folder with a text file a
            video that has a label a frame (their times are then counted in frames).
        subset: of a "database", the part to take, such as "validation"; empty takes all.
        labelled: in JSON, each segment needs a label; proposals have none.

    Raises:
        DataError: the file cannot be read, or a segment is wrong; says which one.
    """
    durations_s: dict[str, float] = {}
    if Path(path).is_dir():
        rows = list(_rows_of_frames(Path(path), durations_s))
    elif is_table(path):
        rows = [_row_of_table(row) for row in read_table(path)]
    else:
        rows = list(_rows_of_json(read_json(path), subset, path, durations_s, labelled))
    for row in rows:
        _check(row, durations_s.get(row.video))
    times_s = np.array([row[2:4] for row in rows], np.float64).reshape(-1, 2)
    names, labels = (np.array([row[column] for row in rows], np.str_) for column in (0, 1))
    table = SegmentTable(names, labels, times_s, np.array([row.score for row in rows], np.float64))
    return SegmentFile(path, table, [row.where for row in rows], durations_s)


def read_events(path: str) -> dict[str, list[SpottedEvent]]:
    """Read a file of events, which have one time.

    Args:
        path: JSON in the format of SoccerNet ("annotations" or "predictions", of one game or by game; each half is a video of
            its own), or a table with the columns video, time, label and, for answers, score; for truth, visibility is optional.
            A segment (start, end) counts as an event in its middle.

    Raises:
        DataError: the file cannot be read, or an event is wrong; says which one.
    """
    rows: Iterable[_Found]
    if is_table(path):
        rows = map(_event_of_table, read_table(path))
    else:
        values = read_json(path)
        rows = _events_of_json(values, path) if _is_soccernet(values) else _checked(_rows_of_json(values, "", path, {}))
    events: dict[str, list[SpottedEvent]] = {}
    for row in rows:
        if not (math.isfinite(row.start_s) and math.isfinite(row.end_s) and math.isfinite(row.score)):
            raise DataError("an event needs a finite time and score", row.where, "correct the row")
        event = SpottedEvent((row.start_s + row.end_s) / 2, row.label, row.score, row.visible)
        events.setdefault(row.video, []).append(event)
    return events


def read_json(path: str) -> object:
    """A JSON file, in which no key may stand twice in one object.

    Raises:
        DataError: it cannot be read; names the line.
    """

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        values = dict(pairs)
        if len(values) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise DataError(f"{twice!r} stands twice", path, "join the two entries, or remove one")
        return values

    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"), object_pairs_hook=once)
    except json.JSONDecodeError as error:
        where, reason = f"{path}, line {error.lineno}, column {error.colno}", error.msg[:1].lower() + error.msg[1:]
        raise DataError(f"broken JSON ({reason})", where, "give whole JSON, or a CSV table") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError("cannot read this file", path, "give JSON in UTF-8, or a CSV table") from error


def _check(row: _Found, duration_s: float | None) -> None:
    """Check a segment.

    Raises:
        DataError: it has no length, ends before it starts, is outside its video, or a number of it is not finite.
    """
    named = f"{row.label} from {row.start_s:g} to {row.end_s:g} s"
    if not (math.isfinite(row.start_s) and math.isfinite(row.end_s) and math.isfinite(row.score)):
        raise DataError(f"a segment needs finite times and score ({named}, score {row.score:g})", row.where)
    if row.end_s <= row.start_s:
        what = "no length" if row.end_s == row.start_s else "its end before its start"
        raise DataError(f"a segment with {what} ({named})", row.where, "correct it, or leave it out")
    if duration_s is not None and (row.start_s >= duration_s or row.end_s <= 0):
        what = f"a segment outside its video of {duration_s:g} s ({named})"
        raise DataError(what, row.where, "correct the times (are they seconds?) or the duration")


def _checked(rows: Iterable[_Found]) -> Iterator[_Found]:
    for row in rows:
        _check(row, None)
        yield row


def _rows_of_json(
    values: object, subset: str, path: str, durations_s: dict[str, float], labelled: bool = True
) -> Iterator[_Found]:
    entries = values if isinstance(values, dict) else {}
    if isinstance(entries.get("database"), dict):
        videos = _annotations(entries["database"], subset, path, durations_s)
    elif isinstance(entries.get("results"), dict):
        videos = entries["results"]
    else:
        raise DataError("no segments in this file", path, 'ActivityNet\'s JSON has a "database" or "results" by video')
    for video, segments in videos.items():
        for number, segment in enumerate(segments if isinstance(segments, list) else [segments], 1):
            where = f"{path}: {video}, segment {number}"
            try:
                start_s, end_s = map(float, segment["segment"])
                label = _text(segment["label"] if labelled else segment.get("label", "proposal"))
                yield _Found(video, label, start_s, end_s, float(segment.get("score", 1)), where)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise DataError("not a segment", where, _JSON) from error


def _text(value: object) -> str:
    """A label: text or a number. Raises TypeError for anything else."""
    if not isinstance(value, str | int) or isinstance(value, bool) or value == "":
        raise TypeError("a label is a text")
    return str(value)


def _annotations(
    database: Mapping[str, object], subset: str, path: str, durations_s: dict[str, float]
) -> dict[str, object]:
    """The annotations of each video of a part; notes the lengths of the videos."""
    videos = {name: video for name, video in database.items() if isinstance(video, dict)}
    chosen = {n: v.get("annotations", []) for n, v in videos.items() if subset in ("", v.get("subset"))}
    if not chosen:
        there = sorted({str(video.get("subset")) for video in videos.values()})
        raise DataError(f"no video of the part {subset!r}", path, f"there is {', '.join(there) or 'none'}")
    lengths = {name: videos[name].get("duration") for name in chosen}
    durations_s |= {name: float(one) for name, one in lengths.items() if isinstance(one, int | float) and one > 0}
    return chosen


def _row_of_table(row: Row) -> _Found:
    video, label = _names(row)
    span = read_span(row.get("start", ""), row.get("end", ""), row.where)
    if span is None:
        raise DataError("a segment needs a start and an end", row.where, "give seconds")
    return _Found(video, label, span.start_s, span.end_s, _score(row), row.where)


def _event_of_table(row: Row) -> _Found:
    if "time" not in row:
        return _row_of_table(row)
    video, label = _names(row)
    span = read_span("", row["time"] or "?", row.where) if row["time"] not in ("0", "0.0") else None
    time_s = span.end_s if span else 0.0
    visible = row.get("visibility", "visible").lower() not in ("not shown", "0", "false", "no")
    return _Found(video, label, time_s, time_s, _score(row), row.where, visible)


def _names(row: Row) -> tuple[str, str]:
    """The video and the label of a row."""
    video = next((row[name] for name in _VIDEO_COLUMNS if row.get(name)), "")
    if not video or not row.get("label"):
        raise DataError("a segment needs a video and a label", row.where, _COLUMNS)
    return video, row["label"]


def _score(row: Row) -> float:
    try:
        return float(row.get("score") or 1)
    except ValueError as error:
        raise DataError(f"not a score: {row['score']!r}", row.where, "give a number") from error


def _is_soccernet(values: object) -> bool:
    games = [values, *(values.values() if isinstance(values, dict) else ())]
    return any(isinstance(game, dict) and ("annotations" in game or "predictions" in game) for game in games)


def _events_of_json(values: object, path: str) -> Iterator[_Found]:
    games = values if isinstance(values, dict) else {}
    if "annotations" in games or "predictions" in games:
        games = {str(games.get("UrlLocal", "game")).rstrip("/"): games}
    for game, content in games.items():
        listed = (content.get("annotations") or content.get("predictions")) if isinstance(content, dict) else None
        for number, event in enumerate(listed if isinstance(listed, list) else [], 1):
            where = f"{path}: {game}, event {number}"
            try:
                half = str(event["half"] if "half" in event else event["gameTime"].split("-")[0]).strip()
                time_s, label = float(event["position"]) / 1000, _text(event["label"])
                visible = event.get("visibility", "visible") != "not shown"
                score = float(event.get("confidence", 1))
                yield _Found(f"{game}, half {half}", label, time_s, time_s, score, where, visible)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise DataError("not an event", where, _EVENT_JSON) from error


def _rows_of_frames(folder: Path, durations_s: dict[str, float]) -> Iterator[_Found]:
    """Segments of text files with a label a frame, as MS-TCN's: a label a line, or all in one line; lines with # are comments."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if not files:
        raise DataError("no file in this folder", folder, "give a text file for each video, with a label a frame")
    for path in files:
        try:
            lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
        except (OSError, ValueError) as error:
            raise DataError("cannot read these labels", path, "give text in UTF-8, a label a frame") from error
        labels = [line for line in lines if line and not line.startswith("#")]
        labels = labels[0].split() if len(labels) == 1 else labels
        names = list(dict.fromkeys(labels))
        durations_s[path.stem] = float(len(labels))
        for index, first, end in runs_of(np.array([names.index(label) for label in labels], np.int64)):
            yield _Found(path.stem, names[index], first, end, 1.0, f"{path}, frame {first}")
