"""C files of this package, compiled by the system's compiler when they are first needed and kept: $KINEMA_HOME/native.

A compiled file belongs to the source, the flags, and the compiler with all that it says about the processor, so that a folder
which several machines share serves each of them. It is checked by checksum whenever it is loaded, because a damaged one
could take the whole process down. The folder may be deleted at any time.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from kinema.errors import OutputError
from kinema.files import whole_file, write_error, write_text
from kinema.machine import cache_folder, processor

log = logging.getLogger("kinema")

_FLAGS = ("-O3", "-ffp-contract=fast", "-shared", "-fPIC")
_WINDOWS = os.name == "nt"
_PATIENCE_S = 120.0
_DO = "install gcc or clang, or name a compiler in CC"


def load_native(name: str) -> ctypes.CDLL:
    """The library that a C file makes, compiled if it is not kept or damaged.

    Args:
        name: of a file beside this one.

    Raises:
        OutputError: there is no compiler, it failed, or what it made cannot be kept or loaded; says which of them.
    """
    source = Path(__file__).with_name(name)
    compiler = _compiler()
    flags, target = _target(compiler)
    words = [source.read_text(encoding="utf-8"), *flags, target, processor()]
    key = hashlib.sha256("\0".join(words).encode()).hexdigest()
    library = cache_folder() / "native" / f"{key}.so"
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(library.with_suffix(".lock")):
            if not _is_whole(library):
                _make(library, [*compiler, *flags], source)
            return _load(library)
    except OSError as error:
        raise write_error(error, library) from error


def _compiler() -> list[str]:
    """The command that compiles C."""
    if _WINDOWS:
        raise OutputError("C files are not compiled on Windows")
    if wanted := shlex.split(os.environ.get("CC", "")):
        if shutil.which(wanted[0]) is None:
            raise OutputError("no such C compiler", f"CC={wanted[0]}", _DO)
        return wanted
    if sys.platform == "darwin" and subprocess.run(["xcode-select", "-p"], capture_output=True, check=False).returncode:
        raise OutputError("no C compiler", do="run xcode-select --install")  # cc would ask for it in a window
    found = next((path for path in map(shutil.which, ("cc", "gcc", "clang")) if path), None)
    if found is None:
        raise OutputError("no C compiler", do=_DO)
    return [found]


def _target(compiler: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Flags that a compiler takes, and what it then defines: its version and what the processor can do."""
    flags = ("-march=native", *_FLAGS)
    try:
        return flags, _run([*compiler, *flags, "-dM", "-E", "-x", "c", os.devnull])
    except OutputError:
        return _FLAGS, _run([*compiler, *_FLAGS, "-dM", "-E", "-x", "c", os.devnull])


def _make(library: Path, command: Sequence[str], source: Path) -> None:
    with whole_file(library) as temporary:
        _run([*command, "-o", str(temporary), str(source)])
        checksum = _checksum(temporary)
    write_text(_checksum_file(library), checksum)


def _run(command: Sequence[str]) -> str:
    """What a compiler prints.

    Raises:
        OutputError: it failed; with the first line of what it said.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_PATIENCE_S, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OutputError("the C compiler cannot be run", command[0], str(error)) from error
    if done.returncode:
        said = next(iter(done.stderr.strip().splitlines()), f"exit status {done.returncode}")
        raise OutputError("the C compiler failed", command[0], said)
    return done.stdout


def _load(library: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(library))
    except OSError as error:
        raise OutputError("cannot load what was compiled", library, str(error)) from error


def _is_whole(library: Path) -> bool:
    try:
        whole = _checksum(library) == _checksum_file(library).read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    except ValueError:
        whole = False
    if not whole:
        log.warning("%s: damaged, and made again", library)
    return whole


def _checksum(library: Path) -> str:
    return hashlib.sha256(library.read_bytes()).hexdigest()


def _checksum_file(library: Path) -> Path:
    return library.with_suffix(".sha256")
