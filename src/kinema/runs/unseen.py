"""Networks of earlier runs in a comparison: found, named, and judged only on videos that they were not trained on."""

from __future__ import annotations

import json
import logging
import os
import shlex
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.errors import CheckpointError, DataError

if TYPE_CHECKING:
    from kinema.datasets.dataset import DataSet

log = logging.getLogger("kinema")


def list_checkpoints(paths: Iterable[str]) -> list[Path]:
    """The checkpoint folders at some paths: each is a checkpoint, a run with best/ in it, or a folder of runs.

    Raises:
        CheckpointError: there is none.
    """
    found: dict[Path, None] = {}
    for path in paths:
        folder = Path(path)
        here = _checkpoints_at(folder) or [
            place for child in sorted(folder.glob("*/")) for place in _checkpoints_at(child)
        ]
        if not here:
            do = "give a checkpoint, a run folder, or a folder of runs that `kinema train` wrote"
            raise CheckpointError("no checkpoint there", folder, do)
        found.update(dict.fromkeys(here))
    return list(found)


def _checkpoints_at(folder: Path) -> list[Path]:
    return [place for place in (folder, folder / "best") if (place / "model.json").is_file()][:1]


def check_unseen(checkpoint: Path, data: DataSet) -> None:
    """Make sure that a network has the classes of the data and was not trained on its validation part.

    Without a split.csv beside the checkpoint, and with another division than that of the data, this cannot be checked: a
    warning says so.

    Raises:
        DataError: it has other classes, or was trained on videos that would judge it.
    """
    from kinema.datasets import open_data
    from kinema.weights.checkpoint import read_card

    card = read_card(checkpoint)
    if tuple(card.labels) != tuple(data.labels):
        differing = sorted(set(card.labels) ^ set(data.labels))
        what = f"its {len(card.labels)} classes are not the {len(data.labels)} of the data"
        raise DataError(what, f"{checkpoint}: {', '.join(differing[:5])}", "compare networks for the same classes")
    if card.data.get("split_fingerprint") == data.fingerprint:
        return
    division = checkpoint.parent / "split.csv"
    if not division.is_file():
        log.warning(
            "%s: was trained with another division of the data: it may have seen videos that now judge it", checkpoint
        )
        return
    trained = {os.path.realpath(e.path) for e in open_data(str(division)).examples if e.split == "train"}
    validation = data.part("valid").examples
    seen = sorted({e.path for e in validation if os.path.realpath(e.path) in trained})
    if seen:
        do = f"judge all by one division: `kinema compare {shlex.quote(str(division))} --checkpoints …`"
        what = f"has learned from {len(seen)} of the {len(validation)} validation videos"
        raise DataError(what, f"{checkpoint}: {seen[0]}", do)


def free_name(checkpoint: Path, taken: Iterable[str]) -> str:
    """The name of a checkpoint in a comparison: the run's folder, with a number if that name is taken."""
    name = checkpoint.absolute().parent.name if checkpoint.name in ("best", "last") else checkpoint.name
    stem, number = name, 2
    while name in taken:
        name, number = f"{stem}-{number}", number + 1
    return name


def training_speed(checkpoint: Path) -> float | None:
    """The training speed of a run in clips a second, from its summary.json; None if that is not known."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return float(json.loads((checkpoint.parent / "summary.json").read_text(encoding="utf-8"))["clips_per_s"])
    return None
