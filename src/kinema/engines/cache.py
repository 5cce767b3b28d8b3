"""Cache of converted graphs: one folder per graph in $KINEMA_HOME/engines, which may be deleted at any time.

One process writes a folder while others wait for its lock. A new folder is moved into place by rename. Checksums are
compared at every read, because OpenVINO can crash the process on a damaged graph. If a network cannot be converted, its
folder keeps the reason, so that the conversion is tried only once.
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
from typing import TYPE_CHECKING, TypedDict

from filelock import FileLock

from kinema.engines.openvino import core, openvino
from kinema.errors import OutputError
from kinema.files import write_error
from kinema.machine import cache_folder

if TYPE_CHECKING:
    from openvino import Model

log = logging.getLogger("kinema")

_GRAPH, _RECORD = "graph.xml", "graph.json"


class _Record(TypedDict):
    """Content of graph.json: the error of a failed conversion, and the checksum of each file."""

    refused: dict[str, str] | None
    files: dict[str, str]


def cached_graph(key: str, convert: Callable[[], Model], name: str) -> Model:
    """Read a graph from the cache; convert it first if it is missing or damaged.

    Args:
        key: name of the graph's folder.
        convert: makes the graph. An OutputError that it raises is stored and raised again at the next call, except if it
            was caused by too little memory or a full disk.
        name: name of the network, for messages.

    Raises:
        OutputError: the network cannot be converted, or the cache cannot be written.
    """
    folder = cache_folder() / "engines" / key
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if (record := _read(folder)) is None:
                log.info("converting %s for OpenVINO; this is done once", name)
                started = time.monotonic()
                record = _write(folder, convert)
                log.info("converted in %.0f s, kept in %s", time.monotonic() - started, folder)
            if record["refused"]:
                raise OutputError(**record["refused"])
            return core().read_model(folder / _GRAPH)
    except OSError as error:
        raise write_error(error, folder) from error


def _read(folder: Path) -> _Record | None:
    """Record of a graph; None if the folder is missing or damaged."""
    try:
        record: _Record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        is_whole = all(_checksum(folder / file) == checksum for file, checksum in record["files"].items())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        is_whole = False
    if not is_whole:
        log.warning("%s: damaged; the network is converted again", folder)
        return None
    return record


def _write(folder: Path, convert: Callable[[], Model]) -> _Record:
    """Convert a network and write its folder, complete or not at all."""
    record: _Record = {"refused": None, "files": {}}
    unfinished = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    unfinished.mkdir()
    try:
        try:
            model = convert()
        except OutputError as error:
            if isinstance(error.__cause__, (MemoryError, OSError)) or "can't allocate" in str(error.__cause__):
                raise
            record["refused"] = {"what": error.what, "where": error.where, "do": error.do}
        else:
            try:
                openvino().save_model(model, unfinished / _GRAPH, compress_to_fp16=False)
            except RuntimeError as error:  # OpenVINO reports a full disk as "iostream error"
                do = "free some space, or set KINEMA_HOME to another folder"
                raise OutputError("cannot write a converted network (is the disk full?)", folder.parent, do) from error
        record["files"] = {path.name: _checksum(path) for path in sorted(unfinished.iterdir())}
        (unfinished / _RECORD).write_text(json.dumps(record, indent=2), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return record


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
