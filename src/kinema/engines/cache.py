"""Converted graphs on disk: $KINEMA_HOME/engines, a folder each, which may be deleted at any time.

A folder is made by one process while others wait for it, swapped in by rename, and checked by checksum whenever it is
read, because a damaged graph could take the whole process down. A network that cannot be converted leaves a folder too,
with the reason, so that it is tried once.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock

from kinema.engines.openvino import core, openvino
from kinema.errors import OutputError
from kinema.files import write_error
from kinema.machine import cache_folder

log = logging.getLogger("kinema")

_GRAPH, _ABOUT = "graph.xml", "graph.json"


def engines_folder() -> Path:
    """Where graphs are kept."""
    return cache_folder() / "engines"


def kept_graph(key: str, convert: Callable[[], Any], name: str) -> Any:
    """The graph of that key as an `openvino.Model`, converted if it is not there or damaged.

    Args:
        key: the name of its folder.
        convert: makes it; an OutputError that it raises is remembered, and raised again the next time, but not where there
            was too little memory.
        name: of the network, for messages.

    Raises:
        OutputError: it cannot be converted, or not be written.
    """
    folder = engines_folder() / key
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if (about := _read(folder)) is None:
                log.info("converting %s for OpenVINO; this is done once", name)
                started = time.monotonic()
                about = _make(folder, convert)
                log.info("converted in %.0f s, kept in %s", time.monotonic() - started, folder)
            if about["refused"]:
                raise OutputError(**about["refused"])
            return core().read_model(folder / _GRAPH)
    except OSError as error:
        raise write_error(error, folder) from error


def _read(folder: Path) -> dict[str, Any] | None:
    """What is known of a graph; None where it is not there or damaged."""
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        whole = all(_checksum(folder / file) == checksum for file, checksum in about["files"].items())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        log.warning("%s: damaged, and made again", folder)
        return None
    return about


def _make(folder: Path, convert: Callable[[], Any]) -> dict[str, Any]:
    about: dict[str, Any] = {"refused": None, "files": {}}
    unfinished = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    unfinished.mkdir()
    try:
        try:
            model = convert()
        except OutputError as error:
            if isinstance(error.__cause__, (MemoryError, OSError)) or "can't allocate" in str(error.__cause__):
                raise
            about["refused"] = {"what": error.what, "where": error.where, "do": error.do}
        else:
            _save(model, unfinished)
        about["files"] = {path.name: _checksum(path) for path in sorted(unfinished.iterdir())}
        (unfinished / _ABOUT).write_text(json.dumps(about, indent=2), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return about


def _save(model: Any, folder: Path) -> None:
    try:
        openvino().save_model(model, folder / _GRAPH, compress_to_fp16=False)
    except RuntimeError as error:  # which says "iostream error", and no more
        do = "free some space, or set KINEMA_HOME to another folder"
        raise OutputError("cannot write a converted network (is the disk full?)", folder.parent, do) from error


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
