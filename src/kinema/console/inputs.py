"""The files that a command gets: paths, patterns, folders, and `-` for a list on standard input."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator

from kinema.errors import KinemaError, UsageError, VideoError


def list_sources(
    paths: Iterable[str], *, frame_folders: bool = False
) -> tuple[list[str], list[tuple[str, KinemaError]]]:
    """The files at some paths, and the paths that lead to no file with the reason.

    Args:
        paths: files, folders, patterns, and `-` for lines of standard input.
        frame_folders: whether a folder of images is one input; else each image is.

    Raises:
        UsageError: there is neither a file nor a reason.
    """
    from kinema.video import list_media

    found: dict[str, None] = {}
    failures: list[tuple[str, KinemaError]] = []
    for path in _with_standard_input(paths):
        try:
            found.update(dict.fromkeys(list_media([path], frame_folders=frame_folders) if _is_text(path) else [path]))
        except VideoError as error:
            failures.append((path, error))
    for path in found:
        if not _is_text(path):
            printable = os.fsencode(path).decode("utf-8", "backslashreplace")
            failures.append((printable, VideoError("the file's name is not UTF-8", printable, "rename it")))
    if not found and not failures:
        raise UsageError("nothing to predict", "-", "name a video, a pattern or a folder")
    return [path for path in found if _is_text(path)], failures


def _is_text(path: str) -> bool:
    """Whether a path can be printed and written: its bytes on the disk are UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _with_standard_input(paths: Iterable[str]) -> Iterator[str]:
    """The paths, with the lines of standard input in place of `-`."""
    for path in paths:
        if path == "-":
            if isinstance(sys.stdin, io.TextIOWrapper):
                sys.stdin.reconfigure(errors="surrogateescape")  # as os.listdir does, for names that are not UTF-8
            yield from (line.rstrip("\r\n") for line in sys.stdin if line.strip())
        else:
            yield path
