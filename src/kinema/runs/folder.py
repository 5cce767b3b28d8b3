"""The folder of a training run: never overwritten, with everything in it that is needed to repeat the run."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import shlex
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.errors import CheckpointError, ConfigError, OutputError
from kinema.files import write_error, write_json, write_text
from kinema.machine import num_cores, processor

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

log = logging.getLogger("kinema")

NOT_PART_OF_A_RUN = frozenset(
    [
        "resume",
        "workers",
        "save_every_s",
        "json",
        "out",
        "tensorboard",
        "cache",
        "flow_cache",
        "feature_cache",
        "max_broken",
        "each_step",
    ]
)
"""Settings that may change when a run is resumed, because they do not change what is learned."""

_LOCK = ".lock"

LOCK_WAIT_S = 6.0
"""Worker processes of a killed run, which hold its lock too, notice within 5 s that it is gone."""

PACKAGES = ("kinema", "torch", "torchvision", "timm", "accelerate", "av", "numpy")


def is_main_process() -> bool:
    """Whether this is the only process, or the first of those that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


def num_processes() -> int:
    """How many processes a launcher started; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def choose_folder(out: str | None, model: str) -> Path:
    """`out`, or the first free `runs/MODEL-N`.

    Raises:
        ConfigError: several processes without `out` could not agree on a name.
    """
    if out:
        return Path(out)
    if num_processes() > 1:
        raise ConfigError("several processes need a common folder", "--out", "give --out FOLDER")
    number = 1
    while (folder := Path("runs") / f"{model}-{number}").exists():
        number += 1
    return folder


@contextlib.contextmanager
def resumable(folder: Path) -> Iterator[None]:
    """Add to a KeyboardInterrupt (Ctrl-C) how to resume the run in the folder.

    Raises:
        KeyboardInterrupt: with that hint.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        if not folder.exists():
            raise
        hint = f"the same command with --out {shlex.quote(str(folder))} --resume goes on"
        raise KeyboardInterrupt(hint) from stop


@contextlib.contextmanager
def only_process(folder: Path) -> Iterator[None]:
    """Keep other commands from training in the same folder. The lock ends with its process, however that ends.

    Raises:
        OutputError: another process trains in it.
    """
    if not is_main_process():
        yield
        return
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / _LOCK)
        lock.acquire(timeout=LOCK_WAIT_S)
    except Timeout as error:
        do = "wait until it ends, or give another --out"
        raise OutputError("another process trains in this folder", folder, do) from error
    except NotImplementedError:
        log.warning("%s: its file system has no locks: do not train twice in this folder at once", folder)
        yield
        return
    except OSError as error:
        raise write_error(error, folder) from error
    try:
        yield
    finally:
        lock.release()


def check_new(folder: Path) -> None:
    """Check that there is nothing in the folder of a new run.

    Raises:
        OutputError: there is.
    """
    if folder.exists() and (not folder.is_dir() or any(path.name != _LOCK for path in folder.iterdir())):
        raise OutputError(
            "a run folder is never overwritten", folder, "give another --out, or --resume to go on with it"
        )


def start_folder(folder: Path, config: DataclassInstance, about: Mapping[str, object]) -> None:
    """Create a new run folder that holds the resolved configuration and the environment.

    Raises:
        OutputError: the folder exists and is not empty.
    """
    if not is_main_process():
        return
    check_new(folder)
    write_text(folder / "config.toml", to_toml(asdict(config), about))
    write_json(folder / "environment.json", environment())


def check_same(folder: Path, config: DataclassInstance) -> None:
    """Make sure that the settings of a resumed run are those it was started with.

    Raises:
        CheckpointError: no run in the folder.
        ConfigError: a setting differs that would change what is learned.
    """
    path = folder / "config.toml"
    try:
        old: dict[str, object] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # missing, not UTF-8, not TOML
        raise CheckpointError("no run to resume", folder, "give the --out of a run, or leave --resume away") from error
    new: dict[str, object] = tomllib.loads(to_toml(asdict(config)))
    if "each_step" in old and "task" not in old:  # the run is older than tasks
        old["task"] = "frame" if old["each_step"] else "kept" if old.get("keep_features") else "clip"
    learned = {*old, *new} - NOT_PART_OF_A_RUN - {"about"}
    differing = sorted(name for name in learned if old.get(name) != new.get(name))
    if differing:
        name = differing[0]
        raise ConfigError(
            f"--{name.replace('_', '-')} was {old.get(name)!r} when the run began",
            folder,
            f"now {new.get(name)!r}; use the same, or take all settings from there: --config {shlex.quote(str(path))}",
        )


def to_toml(values: Mapping[str, object], about: Mapping[str, object] | None = None) -> str:
    """Write flat settings as TOML that `--config` reads. None is left out; `about` becomes a table that is not read."""

    def lines(table: Mapping[str, object]) -> list[str]:
        # JSON writes strings, numbers, booleans and arrays in the same way as TOML.
        return [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in table.items()]

    settings = lines({name: value for name, value in values.items() if value is not None})
    return "\n".join([*settings, *(["", "[about]", *lines(about)] if about else [])]) + "\n"


def environment() -> dict[str, object]:
    """Machine, Python and package versions, and the command."""
    import importlib.metadata

    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "command": sys.argv,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": processor(),
        "cores": num_cores(),
        "processes": num_processes(),
        "packages": versions,
    }
