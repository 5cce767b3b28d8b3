"""Files that are either whole or not there: write to a temporary neighbour, then rename."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kinema.errors import KinemaError, OutputError


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; rename it to `path` if the block ends well, else remove it.

    Raises:
        OutputError: the folder cannot be made or the file cannot be written (no space, no permission).
    """
    path = Path(path)
    # The suffix stays last: writers such as PyAV choose the container by it. No stem: some names are as long as may be.
    temporary = path.with_name(f".{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise write_error(error, path) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_folder(path: str | Path) -> None:
    """Make sure that `path` is or can become a folder: better now than after an hour of work.

    Raises:
        OutputError: it, or something above it, is a file, or nothing may be written there.
    """
    path = Path(path)
    above = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not above.is_dir():
        raise OutputError("there is a file of that name", above, "choose another folder")
    if not os.access(above, os.W_OK):
        raise OutputError("nothing may be written here", above, "choose another folder")


def write_error(error: OSError, path: str | Path) -> KinemaError:
    """Turn the operating system's word on a failed write into one line that says what to do."""
    reason = error.strerror or type(error).__name__
    return OutputError(f"cannot write ({reason.lower()})", path, "free some space or choose another folder")


def write_text(path: str | Path, text: str) -> None:
    """Write a whole text file or none.

    Raises:
        OutputError: it could not be written.
    """
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
