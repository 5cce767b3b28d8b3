"""Writes videos with located actions as the files that other programs and `open_located` read."""

from __future__ import annotations

import os
from pathlib import Path

from kinema.datasets.dataset import DataSet
from kinema.datasets.formats.manifest import write_manifest
from kinema.datasets.located import LocatedSet
from kinema.files import write_json
from kinema.types import Example, TimeSpan

MANIFEST, ACTIVITYNET = "manifest.csv", "activitynet.json"
"""The files that `write_located` writes."""

_SUBSETS = {"train": "training", "valid": "validation", "test": "testing"}


def write_located(located: LocatedSet, folder: str | os.PathLike[str]) -> None:
    """Write the actions as a manifest and as ActivityNet's JSON into a folder, in or above which the videos are.

    A video without actions has a row without label and times in the manifest, and an empty list in the JSON.

    Raises:
        OutputError: a file cannot be written.
    """
    write_manifest(to_rows(located), Path(folder) / MANIFEST)
    database = {
        Path(video.path).stem: {
            **({"subset": _SUBSETS[video.part]} if video.part else {}),
            "annotations": [
                {"segment": [action.span.start_s, action.span.end_s], "label": action.label}
                for action in video.segments
            ],
        }
        for video in located.videos
    }
    write_json(Path(folder) / ACTIVITYNET, {"version": located.name, "database": database})


def to_rows(located: LocatedSet) -> DataSet:
    """The data set with an example for each span of each video, the inverse of `located_set`."""
    examples: list[Example] = []
    for video in located.videos:
        labels: dict[TimeSpan | None, list[str]] = {}
        for action in video.segments:
            labels.setdefault(action.span, []).append(action.label)
        for span, names in (labels or {None: []}).items():
            examples.append(Example(video.path, tuple(names), span, video.part, video.group))
    multi = any(len(example.labels) > 1 for example in examples)
    return DataSet(located.name, located.root, tuple(examples), located.labels, multi, located.image_fps)
