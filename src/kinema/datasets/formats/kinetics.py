"""Kinetics 400/600/700 (Kay et al. 2017): CSV lists with label, youtube_id, time_start, time_end, split.

Files may lie anywhere below the list, as `ID_000001_000011.mp4` (cut to the action) or `ID.mp4` (the whole video, of which the
example is a span). YouTube videos disappear, so listed files that do not exist are left out, with one warning.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from kinema.datasets.dataset import PART_OF, DataSet, make_data_set
from kinema.datasets.format import Format, ListOptions
from kinema.datasets.lists import leave_out_missing, videos_by_stem
from kinema.datasets.tables import Row, read_part, read_span, read_table
from kinema.errors import DataError
from kinema.types import Example


def find_lists(path: str) -> list[str]:
    """Kinetics lists: `path` itself, or those directly in the folder or one of its folders."""
    if not os.path.isdir(path):
        return [path] if _is_list(path) else []
    folders = [path, *(entry.path for entry in sorted(os.scandir(path), key=lambda e: e.name) if entry.is_dir())]
    names = [os.path.join(folder, name) for folder in folders for name in sorted(os.listdir(folder))]
    return [name for name in names if _is_list(name)]


def list_kinetics(path: str, options: ListOptions) -> DataSet:
    """List Kinetics from its CSV file, or from all of them in a folder.

    Raises:
        DataError: no list, a list without a class column, or none of its videos exists.
    """
    lists = find_lists(path)
    if not lists:
        raise DataError("no Kinetics list", path, "give a CSV file with label,youtube_id,time_start,time_end,split")
    files = videos_by_stem(path)
    listed: list[tuple[str, Example | None]] = []
    for name in lists:
        words = Path(name).stem.lower().replace("-", "_").split("_")
        part_in_name = next((word for word in reversed(words) if word in PART_OF), "")  # k400_val.csv
        listed += [_read_row(row, files, part_in_name) for row in read_table(name)]
    return make_data_set(Path(path).stem, path, leave_out_missing(listed, path), options.labels)


def _is_list(path: str) -> bool:
    if not path.lower().endswith(".csv") or not os.path.isfile(path):
        return False
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        return {"label", "youtube_id"} <= {name.strip() for name in file.readline().split(",")}


def _read_row(row: Row, files: Mapping[str, str], default_part: str) -> tuple[str, Example | None]:
    """The name of the cut file in a row, and its example; None if neither the cut nor the whole video exists."""
    video, label = row.get("youtube_id", ""), row.get("label", "").strip('"')
    if not video or not label:
        raise DataError("an empty label or youtube_id", row.where, "fill it in or remove the row")
    span = read_span(row.get("time_start", ""), row.get("time_end", ""), row.where)
    part = read_part(row.get("split", "") or default_part, row.where)
    cut = video if span is None else f"{video}_{span.start_s:06.0f}_{span.end_s:06.0f}"
    if cut in files:
        return cut, Example(files[cut], (label,), split=part, group=video)
    if video in files:
        return cut, Example(files[video], (label,), span=span, split=part, group=video)
    return cut, None


FORMAT = Format(list_data=list_kinetics, detect=lambda path: bool(find_lists(path)), priority=40)
