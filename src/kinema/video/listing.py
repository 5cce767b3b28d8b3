"""Tell videos and images by their file endings, and expand files, patterns and folders to a list of them."""

from __future__ import annotations

import glob
import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path

from kinema.errors import VideoError
from kinema.video.refusals import is_address, refusal

_VIDEOS = (
    "264 265 3g2 3gp 3gp2 3gpp amv apng asf avi divx dv f4v flv gif h264 h265 hevc ismv ivf m1v m2t m2ts m2v m4v mj2 mjpeg mjpg "
    "mk3d mkv mov mp4 mpe mpeg mpg mpv mts mxf nut ogm ogv qt rm rmvb ts vob webm wmv wtv y4m"
)
_IMAGES = "avif bmp jpeg jpg pgm png ppm tif tiff webp"
_log = logging.getLogger("kinema")

VIDEO_ENDINGS = frozenset(f".{ending}" for ending in _VIDEOS.split())
IMAGE_ENDINGS = frozenset(f".{ending}" for ending in _IMAGES.split())


def is_video(path: str | os.PathLike[str]) -> bool:
    """Whether the file ending is that of a video; animated GIFs count, still images do not."""
    return Path(path).suffix.lower() in VIDEO_ENDINGS


def is_image(path: str | os.PathLike[str]) -> bool:
    """Whether the file ending is that of a still image."""
    return Path(path).suffix.lower() in IMAGE_ENDINGS


def natural_key(path: str | os.PathLike[str]) -> list[tuple[int, int, str]]:
    """Sort key that compares numbers in a name by value: frame_2 before frame_10.

    >>> sorted(["b10", "b9", "a"], key=natural_key)
    ['a', 'b9', 'b10']
    """
    parts = re.split(r"(\d+)", os.fspath(path))
    return [(1, int(part), part) if part.isdecimal() else (2, 0, part.lower()) for part in parts if part]


# A folder that has all files of one of these sets was written by kinema.
_RESULTS = (
    {"config.toml", "environment.json"},
    {"model.json", "model.safetensors"},
    {"compare.json", "report.html"},
    {"evaluation.json", "report.html"},
)


def holds_results(names: Iterable[str]) -> bool:
    """Whether a folder with files of these names was written by kinema: a run, a checkpoint or a report.

    Plots and videos in such a folder are results, not data.
    """
    present = set(names)
    return any(result <= present for result in _RESULTS)


def list_media(paths: Iterable[str], *, frame_folders: bool = False) -> list[str]:
    """Expand files, patterns and folders (with all their subfolders) to a list of paths without repeats.

    A file named by the user is kept whatever its ending. Folders and patterns give videos and images in natural order, and
    leave out hidden files and what kinema wrote.

    Args:
        paths: files, patterns and folders.
        frame_folders: whether a folder with images and no video directly in it is one input; else each of its images is.

    Raises:
        VideoError: a path does not exist, or a folder or pattern has no video or image.
    """
    found: dict[str, None] = {}
    for path in paths:
        found.update(dict.fromkeys(_expand(os.fspath(path), frame_folders)))
    return list(found)


def _expand(path: str, frame_folders: bool) -> list[str]:
    if os.path.isdir(path):
        files = _media_below(path, frame_folders)
        if not files:
            raise VideoError("no video or image in this folder", path, "videos end in .avi, .mkv, .mov, .mp4, .webm, …")
        return files
    if os.path.exists(path):
        return [path]
    matches = sorted(glob.glob(path, recursive=True), key=natural_key)
    files = [f for match in matches for f in (_media_below(match, frame_folders) if os.path.isdir(match) else [match])]
    files = [f for f in files if is_video(f) or is_image(f) or (frame_folders and os.path.isdir(f))]
    if files:
        return files
    if glob.has_magic(path) and not is_address(path):
        raise VideoError("no video or image matches this pattern", path, "check it, and put it in quotes")
    raise refusal(path) or VideoError("no video or image", path, "check the spelling of the path")


def report_closed_folder(error: OSError) -> None:
    """Reports a folder that cannot be read, for `os.walk`, which leaves it out."""
    _log.warning("%s: left out a folder that cannot be read (%s)", error.filename, error.strerror)


def _media_below(folder: str, frame_folders: bool) -> list[str]:
    files = []
    for where, folders, names in os.walk(folder, onerror=report_closed_folder):
        if where != folder and holds_results(names):
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        media = [name for name in names if not name.startswith(".") and (is_video(name) or is_image(name))]
        if frame_folders and media and not any(map(is_video, media)):
            files.append(where)
            continue
        files += [os.path.join(where, name) for name in media]
    return sorted(files, key=natural_key)
