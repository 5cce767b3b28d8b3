"""Compile C files of this package with the system's compiler when they are first needed; cache: $KINEMA_HOME/native.

The cache key covers the source, the flags, the compiler's version and what it says about the processor, so that machines of
different kinds can share the folder. The checksum of a library is compared at every load, because a damaged library can crash
the process. The folder may be deleted at any time.
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
_TIMEOUT_S = 120.0
_DO = "install gcc or clang, or name a compiler in CC"


def load_native(name: str) -> ctypes.CDLL:
    """Load the library of a C file; compile it first if it is not in the cache or damaged.

    Args:
        name: name of a file beside this one.

    Raises:
        OutputError: there is no compiler, it failed, or the library cannot be written or loaded.
    """
    source = Path(__file__).with_name(name)
    compiler = _compiler()
    flags: tuple[str, ...] = ("-march=native", *_FLAGS)
    try:
        target = _target(compiler, flags)
    except OutputError:  # not every compiler knows -march=native
        flags = _FLAGS
        target = _target(compiler, flags)
    words = [source.read_text(encoding="utf-8"), *flags, target, processor()]
    key = hashlib.sha256("\0".join(words).encode()).hexdigest()
    library = cache_folder() / "native" / f"{key}.so"
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(library.with_suffix(".lock")):
            if not _is_whole(library):
                with whole_file(library) as temporary:
                    _run([*compiler, *flags, "-o", str(temporary), str(source)])
                    checksum = _checksum(temporary)
                write_text(library.with_suffix(".sha256"), checksum)
            try:
                return ctypes.CDLL(str(library))
            except OSError as error:
                raise OutputError("cannot load what was compiled", library, str(error)) from error
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
        raise OutputError("no C compiler", do="run xcode-select --install")  # `cc` would open a window to install it
    found = next((path for path in map(shutil.which, ("cc", "gcc", "clang")) if path), None)
    if found is None:
        raise OutputError("no C compiler", do=_DO)
    return [found]


def _target(compiler: Sequence[str], flags: Sequence[str]) -> str:
    """Macros that a compiler defines with these flags: its version and the processor's instruction sets."""
    return _run([*compiler, *flags, "-dM", "-E", "-x", "c", os.devnull])


def _run(command: Sequence[str]) -> str:
    """Run a compiler and return what it prints.

    Raises:
        OutputError: the compiler failed; the message has its first line of error output.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OutputError("the C compiler cannot be run", command[0], str(error)) from error
    if done.returncode:
        reason = next(iter(done.stderr.strip().splitlines()), f"exit status {done.returncode}")
        raise OutputError("the C compiler failed", command[0], reason)
    return done.stdout


def _is_whole(library: Path) -> bool:
    try:
        is_whole = _checksum(library) == library.with_suffix(".sha256").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    except ValueError:
        is_whole = False
    if not is_whole:
        log.warning("%s: damaged; it is compiled again", library)
    return is_whole


def _checksum(library: Path) -> str:
    return hashlib.sha256(library.read_bytes()).hexdigest()
