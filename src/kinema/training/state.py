"""The state of a run in one file, which is written whole or not at all. A resumed run ends like one without a break."""

from __future__ import annotations

from collections.abc import Mapping
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
class TrainingState:
    """How far a run is, and what it has measured.

    `batch` is the next batch of `epoch`; `step` counts optimiser steps, `skipped` those that were left out because a gradient
    was not a number, `skipped_in_a_row` the latest of these without a good step between them.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    best: float = float("-inf")
    best_epoch: int = -1
    finished: bool = False
    skipped: int = 0
    skipped_in_a_row: int = 0
    tally: Tally = field(default_factory=Tally)
    history: list[EpochRow] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)


def save_state(path: Path, state: TrainingState, parts: Mapping[str, object]) -> None:
    """Write the state of a run and the state dictionaries of network, optimiser, … in one file.

    Raises:
        OutputError: it could not be written; the previous state is kept.
    """
    progress = asdict(state)
    progress["in_vain"] = progress.pop("skipped_in_a_row")  # the name in the files of all versions
    with whole_file(path) as temporary:
        try:
            torch.save({"format": STATE_FORMAT, "progress": progress, **parts}, temporary)
        except RuntimeError as error:  # torch's error for a full disk
            raise OutputError("cannot write the state of the run", path, "free some space, then --resume") from error


def load_state(path: Path) -> tuple[TrainingState, dict[str, Any]]:
    """Read a file of `save_state`.

    Raises:
        CheckpointError: the file is missing, damaged, or of another format.
    """
    if not path.exists():
        raise CheckpointError("no saved state to resume from", path, "start the run without --resume")
    do = "start again with another --out"
    try:
        parts = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError("cannot read the saved state", path, do) from error
    if not isinstance(parts, dict) or parts.get("format") != STATE_FORMAT:
        raise CheckpointError("not the saved state of a run, or of another version", path, do)
    try:
        values = dict(parts.pop("progress"))
        values["tally"] = Tally(**values["tally"])
        state = TrainingState(skipped_in_a_row=values.pop("in_vain"), **values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"the saved state is damaged ({type(error).__name__}: {error})", path, do) from error
    return state, parts
