"""Read true and answered segments from files: ActivityNet's JSON, and tables with a row a segment."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from kinema.datasets.tables import is_table, read_span, read_table
from kinema.errors import DataError
from kinema.evaluation.located.segments import SegmentTable

_VIDEO_COLUMNS = ("video", "path")
_Row = tuple[str, str, float, float, float]


def read_segments(path: str, subset: str = "") -> SegmentTable:
    """Read a file of segments.

    Args:
        path: JSON in the format of ActivityNet ("database" with annotations, or "results" with scores), or a CSV, TSV or Parquet
            table with the columns video (or path), start, end, label and, for answers, score.
        subset: of a "database", the part to take, such as "validation"; empty takes all.

    Raises:
        DataError: the file cannot be read, or a segment is wrong; says which one.
    """
    if is_table(path):
        return _table(_rows_of_table(path))
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError("cannot read these segments", path, "give JSON as ActivityNet's, or a CSV table") from error
    if isinstance(values, dict) and isinstance(values.get("database"), dict):
        return _table(_rows_of_json(_annotations(values["database"], subset, path), path))
    if isinstance(values, dict) and isinstance(values.get("results"), dict):
        return _table(_rows_of_json(values["results"], path))
    raise DataError("no segments in this file", path, 'ActivityNet\'s JSON has a "database" or "results" by video')


def _annotations(database: Mapping[str, object], subset: str, path: str) -> dict[str, object]:
    videos = {name: video for name, video in database.items() if isinstance(video, dict)}
    chosen = {n: v.get("annotations", []) for n, v in videos.items() if subset in ("", v.get("subset"))}
    if not chosen:
        there = sorted({str(video.get("subset")) for video in videos.values()})
        raise DataError(f"no video of the part {subset!r}", path, f"there is {', '.join(there) or 'none'}")
    return chosen


def _rows_of_json(videos: Mapping[str, object], path: str) -> Iterable[_Row]:
    for video, segments in videos.items():
        for number, segment in enumerate(segments if isinstance(segments, list) else [segments], 1):
            try:
                start_s, end_s = map(float, segment["segment"])
                yield video, str(segment["label"]), start_s, end_s, float(segment.get("score", 1))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                where = f"{path}: {video}, segment {number}"
                do = '{"segment": [START, END], "label": NAME} in seconds, answers with "score"'
                raise DataError("not a segment", where, do) from error


def _rows_of_table(path: str) -> Iterable[_Row]:
    for row in read_table(path):
        video = next((row[name] for name in _VIDEO_COLUMNS if row.get(name)), "")
        if not video or not row.get("label"):
            raise DataError("a segment needs a video and a label", row.where, "columns: video,start,end,label,score")
        span = read_span(row.get("start", ""), row.get("end", ""), row.where)
        if span is None:
            raise DataError("a segment needs a start and an end", row.where, "give seconds")
        try:
            yield video, row["label"], span.start_s, span.end_s, float(row.get("score") or 1)
        except ValueError as error:
            raise DataError(f"not a score: {row['score']!r}", row.where, "give a number") from error


def _table(rows: Iterable[_Row]) -> SegmentTable:
    listed = list(rows)
    times_s = np.array([row[2:4] for row in listed], np.float64).reshape(-1, 2)
    names, labels = (np.array([row[column] for row in listed], np.str_) for column in (0, 1))
    return SegmentTable(names, labels, times_s, np.array([row[4] for row in listed], np.float64))
