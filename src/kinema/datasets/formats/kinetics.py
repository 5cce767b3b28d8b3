"""Kinetics 400/600/700 (Kay et al. 2017): CSV lists with label, youtube_id, time_start, time_end, split.

Files may lie anywhere below, as `ID_000001_000011.mp4` (cut to the action) or `ID.mp4` (the whole film, cut here).
Videos vanish from YouTube all the time, so listed files that are not there are left out, with one warning.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from kinema.datasets.dataset import PART_OF, DataSet, finish, some
from kinema.datasets.formats.folder import walk
from kinema.datasets.formats.manifest import Row, part_of, read_span, read_table
from kinema.errors import DataError
from kinema.labels import Labels
from kinema.types import Example
from kinema.video.listing import is_video

_log = logging.getLogger("kinema")


def lists_in(path: str) -> list[str]:
    """Kinetics lists: `path` itself, or those directly in the folder or one of its folders."""
    if not os.path.isdir(path):
        return [path] if _is_list(path) else []
    folders = [path, *(entry.path for entry in sorted(os.scandir(path), key=lambda e: e.name) if entry.is_dir())]
    names = [os.path.join(folder, name) for folder in folders for name in sorted(os.listdir(folder))]
    return [name for name in names if _is_list(name)]


def list_kinetics(path: str, labels: Labels | None = None) -> DataSet:
    """List Kinetics from its CSV file, or from all of them in a folder.

    Raises:
        DataError: no list, a list without a class column, or none of its videos is there.
    """
    lists = lists_in(path)
    if not lists:
        raise DataError("no Kinetics list", path, "give a CSV file with label,youtube_id,time_start,time_end,split")
    files = media_by_stem(path if os.path.isdir(path) else os.path.dirname(path) or ".")
    listed = [_example(row, files, name) for name in lists for row in read_table(name)]
    examples = leave_out_missing(listed, path)
    return finish(Path(path).stem, path, examples, labels)


def media_by_stem(root: str) -> dict[str, str]:
    """All video files below a folder by their names without ending."""
    return {
        os.path.splitext(name)[0]: os.path.join(where, name)
        for where, _, names in walk(root)
        for name in names
        if is_video(name)
    }


def leave_out_missing(listed: list[tuple[str, Example | None]], source: str) -> list[Example]:
    """The examples whose files are there; one warning tells how many are not.

    Args:
        listed: what the list calls an example, and the example, or None where its file is not there.
        source: the list.

    Raises:
        DataError: there is none.
    """
    missing = [name for name, example in listed if example is None]
    if listed and len(missing) == len(listed):
        do = "put the videos into the folder of the list, or below it"
        raise DataError(f"none of the {len(listed)} listed videos is there", f"{source}, {some(missing)}", do)
    if missing:
        _log.warning(
            "%s: left out %d of %d listed videos that are not there: %s",
            source,
            len(missing),
            len(listed),
            some(missing),
        )
    return [example for _, example in listed if example is not None]


def _is_list(path: str) -> bool:
    if not path.lower().endswith(".csv") or not os.path.isfile(path):
        return False
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        return {"label", "youtube_id"} <= {name.strip() for name in file.readline().split(",")}


def _example(row: Row, files: Mapping[str, str], source: str) -> tuple[str, Example | None]:
    video, label = row.get("youtube_id", ""), row.get("label", "").strip('"')
    if not video or not label:
        raise DataError("an empty label or youtube_id", row.where, "fill it in or take the row out")
    span = read_span(row.get("time_start", ""), row.get("time_end", ""), row.where)
    part = part_of(row.get("split", "") or _part_in(source), row.where)
    cut = video if span is None else f"{video}_{span.start_s:06.0f}_{span.end_s:06.0f}"
    if cut in files:
        return cut, Example(files[cut], (label,), split=part, group=video)
    if video in files:
        return cut, Example(files[video], (label,), span=span, split=part, group=video)
    return cut, None


def _part_in(path: str) -> str:
    """The part that a list's own name tells: `k400_val.csv` is val; empty for none."""
    words = Path(path).stem.lower().replace("-", "_").split("_")
    return next((word for word in reversed(words) if word in PART_OF), "")
