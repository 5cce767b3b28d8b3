"""Files that are written completely or not at all: to a temporary file in the same folder, which is then renamed."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from kinema.errors import KinemaError, OutputError


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path in the same folder; renames it to `path` if the block succeeds, else removes it.

    Raises:
        OutputError: the folder cannot be made or the file cannot be written (no space, no permission).
    """
    path = Path(path)
    # Writers such as PyAV choose the container by the suffix. The stem is left out: a name may have the maximum length.
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


@contextlib.contextmanager
def work_folder(parent: Path) -> Iterator[Path]:
    """A temporary folder in `parent`, which is made; what killed processes left there is deleted first."""
    import shutil
    import tempfile

    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(f"{_WORK}*"):
        number = left.name.removeprefix(_WORK).partition(".")[0]
        if number.isdigit() and not _is_running(int(number)):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=f"{_WORK}{os.getpid()}.") as folder:
        yield Path(folder)


_WORK = ".kinema."


def _is_running(process: int) -> bool:
    if os.name == "nt":  # where the call below would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's, or no number of a process
        return True
    return True


def check_folder(path: str | Path) -> None:
    """Check that `path` is a folder or can be made one, before work is done whose result would be lost.

    Raises:
        OutputError: it, or a folder above it, is a file or not writable.
    """
    path = Path(path)
    above = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not above.is_dir():
        raise OutputError("there is a file of that name", above, "choose another folder")
    if not os.access(above, os.W_OK):
        raise OutputError("no permission to write here", above, "choose another folder")


def write_error(error: OSError, path: str | Path) -> KinemaError:
    """The operating system's error of a failed write as an error that says what to do."""
    reason = error.strerror or type(error).__name__
    return OutputError(f"cannot write ({reason.lower()})", path, "free some space or choose another folder")


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, completely or not at all.

    Raises:
        OutputError: it could not be written.
    """
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: object) -> None:
    """Write `value` as indented JSON, completely or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
