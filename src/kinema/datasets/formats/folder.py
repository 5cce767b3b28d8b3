"""Folders named after classes, with or without folders of parts (train, valid, test) around them.

    DATA/fight/a.mp4                  or    DATA/train/fight/a.mp4
    DATA/no_fight/b.mp4                     DATA/val/no_fight/b.mp4

Every video below a class folder belongs to the class. A folder below it that holds images and no video is one video, frame by
frame. Images directly in the class folder are stills: the format `stills` makes each an example. Class folders without an
example, and files that look like data but are not used, are reported in a warning.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from kinema.datasets.class_folders import check_depth, class_folders, report_left_out
from kinema.datasets.dataset import DataSet, first_few, make_data_set, path_within
from kinema.datasets.format import Format, ListOptions
from kinema.datasets.lists import Folder, ucf101_group, walk
from kinema.errors import DataError
from kinema.labels import Labels
from kinema.types import Example
from kinema.video.listing import holds_results, is_image, is_video

_log = logging.getLogger("kinema")
_SIDECARS = (
    "aac ass csv db flac html ini json jsonl log m4a md mp3 npy npz parquet pdf pkl srt sub toml tsv txt vtt wav "
    "xml yaml yml"
)
_SIDECAR_ENDINGS = frozenset(f".{ending}" for ending in _SIDECARS.split())
"""Endings of files that often lie beside videos and are never taken for one: notes, subtitles, tables, sound."""


def list_folder(path: str, options: ListOptions) -> DataSet:
    """List videos by class folder.

    Raises:
        DataError: no such folder, nothing in it, or no class folders.
    """
    return list_class_folders(path, options.labels)


def list_class_folders(root: str, labels: Labels | None, *, stills: bool = False) -> DataSet:
    """List videos by class folder; or, with `stills`, single images, each an example.

    Raises:
        DataError: no such folder, nothing in it, or no class folders.
    """
    a_kind, kind = ("an image", "image") if stills else ("a video", "video")
    folders = class_folders(root)
    examples: list[Example] = []
    listed: dict[str, list[str]] = {}
    empty: list[str] = []
    left_out: Counter[str] = Counter()
    for part, folder in folders:
        below = list(walk(folder))
        if below and holds_results(below[0][2]):
            below = []
        paths = listed[folder] = list(_examples_in(below, folder, stills))
        examples += [Example(path, (os.path.basename(folder),), split=part, group=ucf101_group(path)) for path in paths]
        empty += [] if paths else [path_within(folder, root)]
        left_out.update(Path(name).suffix.lower() for name in _unused_files(below, folder, stills))
    report_left_out(root, folders, is_image if stills else is_video, kind)
    check_depth(root, listed, one_is_enough=labels is not None)
    if empty:
        _log.warning("%s: left out %d class folders without %s: %s", root, len(empty), a_kind, first_few(empty, 10))
    if left_out:
        counts = [f"{count} {ending or 'without an ending'}" for ending, count in left_out.most_common()]
        what = f"files that are no {kind} by their endings"
        _log.warning("%s: left out %d %s: %s", root, left_out.total(), what, first_few(counts, 10))
    if not examples:
        do = f"put them into one folder a class, as {root}/CLASS/FILE, or give a manifest (a CSV file with path,label)"
        has_media = any(is_video(name) or is_image(name) for _, _, names in walk(root) for name in names)
        raise DataError(f"no class folder with {a_kind} in it" if has_media else f"no {kind} here", root, do)
    return make_data_set(os.path.basename(os.path.abspath(root)), root, examples, labels)


def has_videos(root: str) -> bool:
    """Whether a class folder holds a video: a file, or a folder of images."""
    return any(True for _, folder in class_folders(root) for _ in _examples_in(walk(folder), folder, False))


def _examples_in(below: Iterable[Folder], class_folder: str, stills: bool) -> Iterator[str]:
    """Paths of all examples in a class folder."""
    for where, _, names in below:
        if stills:
            yield from (os.path.join(where, name) for name in names if is_image(name))
            continue
        videos = [os.path.join(where, name) for name in names if is_video(name)]
        yield from videos
        if not videos and where != class_folder and any(is_image(name) for name in names):
            yield where


def _unused_files(below: Iterable[Folder], class_folder: str, stills: bool) -> Iterator[str]:
    """Names of files in a class folder that are no example, but may have been meant as one."""
    for where, _, names in below:
        has_video = any(is_video(name) for name in names)
        for name in names:
            if is_video(name):
                unused = stills
            elif is_image(name):
                unused = not stills and not has_video and where == class_folder  # beside a video it is a preview
            else:
                unused = Path(name).suffix.lower() not in _SIDECAR_ENDINGS
            if unused:
                yield name


FORMAT = Format(list_data=list_folder, fallback=os.path.isdir, priority=70)
