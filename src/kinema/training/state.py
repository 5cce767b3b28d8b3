"""The state of a run, in one file that is whole or not there: what --resume needs to end as if nothing had happened."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from kinema.errors import CheckpointError, OutputError
from kinema.files import whole_file

STATE_FORMAT = 1
EpochRow = dict[str, float]


@dataclass
class Tally:
    """Running sums of one epoch on one process."""

    loss: float = 0.0
    hits: float = 0.0
    clips: int = 0
    wait_s: float = 0.0
    time_s: float = 0.0


@dataclass
class Progress:
    """Where a run stands.

    `batch` is the next batch of `epoch`; `step` counts optimiser steps, `skipped` those that were not taken because a
    gradient was not a number, `in_vain` how many of these came one after the other.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    best: float = float("-inf")
    best_epoch: int = -1
    finished: bool = False
    skipped: int = 0
    in_vain: int = 0
    tally: Tally = field(default_factory=Tally)
    history: list[EpochRow] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)


def save_state(path: Path, progress: Progress, parts: dict[str, Any]) -> None:
    """Write the progress and the state dictionaries of network, optimiser, … in one file.

    Raises:
        OutputError: it could not be written; the state before it is still there.
    """
    with whole_file(path) as temporary:
        try:
            torch.save({"format": STATE_FORMAT, "progress": asdict(progress), **parts}, temporary)
        except RuntimeError as error:  # a full disk comes as this
            raise OutputError("cannot write the state of the run", path, "free some space, then --resume") from error


def load_state(path: Path) -> tuple[Progress, dict[str, Any]]:
    """Read what `save_state` wrote.

    Raises:
        CheckpointError: not there, damaged, or of another format.
    """
    if not path.exists():
        raise CheckpointError("no saved state to resume from", path, "start the run without --resume")
    try:
        parts = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError("cannot read the saved state", path, "start again with another --out") from error
    if parts.pop("format", None) != STATE_FORMAT:
        raise CheckpointError("the saved state is of another version", path, "start again with another --out")
    values = parts.pop("progress")
    values["tally"] = Tally(**values["tally"])
    return Progress(**values), parts
