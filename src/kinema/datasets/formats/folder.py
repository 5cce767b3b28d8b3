"""Folders named after classes, with or without folders of parts around them.

    DATA/fight/a.mp4                  or    DATA/train/fight/a.mp4
    DATA/no_fight/b.mp4                     DATA/val/no_fight/b.mp4

Anything below a class folder belongs to it. A folder in there that holds pictures and no video is one video, frame by
frame; pictures that lie directly in the class folder are stills, each an example of its own. What may have been meant
as an example and is none is told: class folders without any, and files by their endings.
"""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from kinema.datasets.dataset import PART_OF, DataSet, finish, relative, some
from kinema.errors import DataError
from kinema.labels import Labels
from kinema.types import Example
from kinema.video.listing import holds_results, is_image, is_video, natural_key

_log = logging.getLogger("kinema")
_UCF_NAME = re.compile(r"^v_(.+_g\d+)_c\d+$")
_NO_VIDEOS = (
    "aac ass csv db flac html ini json jsonl log m4a md mp3 npy npz parquet pdf pkl srt sub toml tsv txt vtt wav "
    "xml yaml yml"
)
_BESIDE = frozenset(f".{ending}" for ending in _NO_VIDEOS.split())
"""Endings of what lies beside videos and nobody takes for one: notes, subtitles, tables, sound."""

Place = tuple[str, list[str], list[str]]
"""A folder with the names of the folders and files in it."""


def list_folder(root: str, labels: Labels | None = None) -> DataSet:
    """List videos by class folder.

    Raises:
        DataError: no such folder, nothing in it, or no class folders.
    """
    return _list(root, labels, stills=False)


def list_stills(root: str, labels: Labels | None = None) -> DataSet:
    """List single pictures by class folder, each an example; videos are left out.

    Raises:
        DataError: no such folder, nothing in it, or no class folders.
    """
    return _list(root, labels, stills=True)


def has_videos(root: str) -> bool:
    """Whether a class folder holds a video: a file, or a folder of pictures."""
    parts = part_folders(root)
    tops = [top for tops in parts.values() for top in tops] or [root]
    classes = (os.path.join(top, name) for top in tops for name in folders_in(top))
    return any(True for folder in classes for _ in _files(walk(folder), folder, stills=False))


def group_of(path: str) -> str | None:
    """The source that a UCF-101 file name tells: `v_Diving_g01_c02.avi` is `Diving_g01`; None for other names."""
    match = _UCF_NAME.match(os.path.splitext(os.path.basename(path))[0])
    return match.group(1) if match else None


def part_folders(root: str) -> dict[str, list[str]]:
    """Folders of parts by part name; empty where the folders are classes.

    A part holds folders, so that `train` and `bus` full of videos are two classes of vehicles.
    """
    names = folders_in(root)
    spelt = [name for name in names if name.lower() in PART_OF and folders_in(os.path.join(root, name))]
    others = [name for name in names if name not in spelt]
    if not spelt or (others and not any(PART_OF[name.lower()] == "train" for name in spelt)):
        return {}
    if others:
        _log.warning("%s: left out folders that are no parts: %s", root, some(others))
    parts: dict[str, list[str]] = {}
    for name in spelt:
        parts.setdefault(PART_OF[name.lower()], []).append(os.path.join(root, name))
    return parts


def folders_in(root: str) -> list[str]:
    """Names of the visible folders in a folder, in natural order.

    Raises:
        DataError: there is no such folder.
    """
    try:
        with os.scandir(root) as entries:
            return sorted((e.name for e in entries if e.is_dir() and not _hidden(e.name)), key=natural_key)
    except OSError as error:
        raise DataError("no such folder", root, "check the path of the data set") from error


def walk(root: str, depth: int | None = None) -> Iterator[Place]:
    """Visible folders with the names of their visible folders and files, in natural order: `root` and all below.

    Folders that kinema wrote, such as those of training runs, are left out with all that is in them.

    Args:
        root: where to begin.
        depth: how many floors below `root` to go; None goes to the bottom.
    """
    bottom = root.rstrip(os.sep).count(os.sep) + (depth or 0)
    seen: set[str] = set()  # links may lead in circles
    for where, folders, names in os.walk(root, followlinks=True):
        if (real := os.path.realpath(where)) in seen or (where != root and holds_results(names)):
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted((name for name in folders if not _hidden(name)), key=natural_key)
        yield where, list(folders), sorted((name for name in names if not _hidden(name)), key=natural_key)
        if depth is not None and where.count(os.sep) >= bottom:
            folders.clear()


def _list(root: str, labels: Labels | None, stills: bool) -> DataSet:
    kind = "picture" if stills else "video"
    listed: list[Example] = []
    bare: list[str] = []
    left_out: Counter[str] = Counter()
    for part, folder in _class_folders(root):
        places = list(walk(folder))
        if places and holds_results(places[0][2]):
            places = []
        paths = list(_files(places, folder, stills))
        listed += [Example(path, (os.path.basename(folder),), split=part, group=group_of(path)) for path in paths]
        bare += [] if paths else [relative(folder, root)]
        left_out.update(Path(name).suffix.lower() for name in _others(places, folder, stills))
    _warn_of_left_out(root, kind, bare, left_out)
    if not listed:
        raise _nothing(root, kind)
    return finish(os.path.basename(os.path.abspath(root)), root, listed, labels)


def _class_folders(root: str) -> Iterator[tuple[str | None, str]]:
    """Parts, None where there are none, and the class folders in them."""
    parts: Iterable[tuple[str | None, list[str]]] = part_folders(root).items() or [(None, [root])]
    for part, tops in parts:
        for top in tops:
            yield from ((part, os.path.join(top, name)) for name in folders_in(top))


def _files(places: Iterable[Place], folder: str, stills: bool) -> Iterator[str]:
    """Everything in a class folder that is an example."""
    for where, _, names in places:
        if stills:
            yield from (os.path.join(where, name) for name in names if is_image(name))
            continue
        videos = [os.path.join(where, name) for name in names if is_video(name)]
        yield from videos
        if not videos and where != folder and any(is_image(name) for name in names):
            yield where


def _others(places: Iterable[Place], folder: str, stills: bool) -> Iterator[str]:
    """Names of files in a class folder that are no example, but may have been meant as one."""
    for where, _, names in places:
        videos = any(is_video(name) for name in names)
        for name in names:
            if is_video(name):
                meant = stills
            elif is_image(name):
                meant = not stills and not videos and where == folder  # beside a video it is a preview of it
            else:
                meant = Path(name).suffix.lower() not in _BESIDE
            if meant:
                yield name


def _warn_of_left_out(root: str, kind: str, bare: list[str], left_out: Counter[str]) -> None:
    if bare:
        _log.warning("%s: left out %d class folders without a %s: %s", root, len(bare), kind, some(bare, 10))
    if left_out:
        counts = [f"{count} {ending or 'without an ending'}" for ending, count in left_out.most_common()]
        what = f"files that are no {kind} by their endings"
        _log.warning("%s: left out %d %s: %s", root, left_out.total(), what, some(counts, 10))


def _nothing(root: str, kind: str) -> DataError:
    do = f"put them into one folder a class, as {root}/CLASS/FILE, or give a manifest (a CSV file with path,label)"
    for _, _, names in walk(root):
        if any(is_video(name) or is_image(name) for name in names):
            return DataError(f"no class folder with a {kind} in it", root, do)
    return DataError(f"no {kind} here", root, do)


def _hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))
