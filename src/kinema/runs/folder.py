"""The folder of a training run: never overwritten, and enough in it to do the run again."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import shlex
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kinema.errors import CheckpointError, ConfigError, OutputError
from kinema.files import write_json, write_text
from kinema.machine import num_cores, processor

NOT_PART_OF_A_RUN = frozenset(
    {
        "resume",
        "workers",
        "save_every_s",
        "json",
        "out",
        "tensorboard",
        "cache",
        "flow_cache",
        "max_broken",
        "each_step",
    }
)
"""Settings that may differ when a run is resumed, because they do not change what is learned."""

PACKAGES = ("kinema", "torch", "torchvision", "timm", "accelerate", "av", "numpy")


def is_main_process() -> bool:
    """Whether this is the only process, or the first of those that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


def num_processes() -> int:
    """How many processes a launcher started; 1 without one."""
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
    """Let a Ctrl-C say how to go on with what is in the folder.

    Raises:
        KeyboardInterrupt: with a hint.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        if not folder.exists():
            raise
        hint = f"the same command with --out {shlex.quote(str(folder))} --resume goes on"
        raise KeyboardInterrupt(hint) from stop


def start_folder(folder: Path, config: Any, about: dict[str, Any]) -> None:
    """Make a new run folder with the resolved configuration and the environment in it.

    Raises:
        OutputError: it exists already and holds something.
    """
    if not is_main_process():
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(
            "a run folder is never overwritten", folder, "give another --out, or --resume to go on with it"
        )
    write_text(folder / "config.toml", to_toml(asdict(config), about))
    write_json(folder / "environment.json", environment())


def check_same(folder: Path, config: Any) -> None:
    """Make sure that a resumed run is told to do what it was doing.

    Raises:
        CheckpointError: no run in the folder.
        ConfigError: a setting differs that would change what is learned.
    """
    path = folder / "config.toml"
    try:
        was = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # not there, not UTF-8, not TOML
        raise CheckpointError("no run to resume", folder, "give the --out of a run, or leave --resume away") from error
    now = tomllib.loads(to_toml(asdict(config), {}))
    _add_task(was)
    differing = sorted(
        name for name in {*was, *now} - NOT_PART_OF_A_RUN if name != "about" and was.get(name) != now.get(name)
    )
    if differing:
        name = differing[0]
        raise ConfigError(
            f"--{name.replace('_', '-')} was {was.get(name)!r} when the run began",
            folder,
            f"now {now.get(name)!r}; use the same, or take all settings from there: --config {shlex.quote(str(path))}",
        )


def _add_task(was: dict[str, Any]) -> None:
    """Give the settings of a run from before there were tasks the task that they stand for."""
    if "each_step" in was and "task" not in was:
        was["task"] = "frame" if was["each_step"] else "kept" if was.get("keep_features") else "clip"


def to_toml(values: dict[str, Any], about: dict[str, Any]) -> str:
    """Flat settings as TOML, as `--config` reads them; what is None is left out. `about` becomes a table that is not read."""
    lines = [f"{name} = {_toml_value(value)}" for name, value in values.items() if value is not None]
    if about:
        lines += ["", "[about]", *(f"{name} = {_toml_value(value)}" for name, value in about.items())]
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:
    # TOML's strings, numbers, booleans and arrays are written as JSON's are.
    return json.dumps(value, ensure_ascii=False)


def environment() -> dict[str, Any]:
    """Machine, Python and package versions, and the command."""
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
