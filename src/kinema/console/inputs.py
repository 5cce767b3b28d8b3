"""The files that a command is given: paths, patterns, folders, and `-` for a list on standard input."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator

from kinema.errors import KinemaError, UsageError, VideoError


def list_sources(paths: Iterable[str]) -> tuple[list[str], list[tuple[str, KinemaError]]]:
    """The files that are meant, and the paths that lead nowhere with the reason."""
    from kinema.video import list_media

    found: dict[str, None] = {}
    failures: list[tuple[str, KinemaError]] = []
    for path in _spelt_out(paths):
        try:
            found.update(dict.fromkeys(list_media([path]) if _is_text(path) else [path]))
        except VideoError as error:
            failures.append((path, error))
    failures += [_misnamed(path) for path in found if not _is_text(path)]
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


def _misnamed(path: str) -> tuple[str, KinemaError]:
    shown = os.fsencode(path).decode("utf-8", "backslashreplace")
    return shown, VideoError("the file's name is not UTF-8", shown, "rename it")


def _spelt_out(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        if path == "-":
            if isinstance(sys.stdin, io.TextIOWrapper):
                sys.stdin.reconfigure(errors="surrogateescape")  # as names come from a folder, whatever their bytes
            yield from (line.rstrip("\r\n") for line in sys.stdin if line.strip())
        else:
            yield path
