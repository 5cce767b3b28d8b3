"""Networks that other runs have trained, in a comparison: found, named, and judged only on videos they have not seen."""

from __future__ import annotations

import json
import logging
import os
import shlex
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.errors import CheckpointError, DataError

if TYPE_CHECKING:
    from kinema.datasets.dataset import DataSet

log = logging.getLogger("kinema")


def list_checkpoints(paths: Iterable[str]) -> list[Path]:
    """The checkpoint folders that are meant: themselves, the best of a run, or those of all runs in a folder.

    Raises:
        CheckpointError: there is none.
    """
    found: dict[Path, None] = {}
    for path in paths:
        folder = Path(path)
        here = _checkpoints_at(folder) or [c for child in _folders_in(folder) for c in _checkpoints_at(child)]
        if not here:
            do = "give a checkpoint, a run folder, or a folder of runs that `kinema train` wrote"
            raise CheckpointError("no checkpoint there", folder, do)
        found.update(dict.fromkeys(here))
    return list(found)


def _checkpoints_at(folder: Path) -> list[Path]:
    return [place for place in (folder, folder / "best") if (place / "model.json").is_file()][:1]


def _folders_in(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir()) if folder.is_dir() else []


def check_unseen(checkpoint: Path, data: DataSet) -> None:
    """Make sure that a network has the classes of the data and did not learn from its validation part.

    Where that cannot be told, because its division is neither the data's nor beside it, a warning says so.

    Raises:
        DataError: its classes are others, or it has learned from videos that it would be judged by.
    """
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
    seen = _seen(division, data)
    if seen:
        do = f"judge all by one division: `kinema compare {shlex.quote(str(division))} --checkpoints …`"
        count = len(data.part("valid").examples)
        raise DataError(
            f"has learned from {len(seen)} of the {count} validation videos", f"{checkpoint}: {seen[0]}", do
        )


def _seen(division: Path, data: DataSet) -> Sequence[str]:
    """Videos of the validation part that a run learned from."""
    from kinema.datasets import open_data

    learned = {os.path.realpath(e.path) for e in open_data(str(division)).examples if e.split == "train"}
    return sorted({e.path for e in data.part("valid").examples if os.path.realpath(e.path) in learned})


def free_name(checkpoint: Path, taken: Iterable[str]) -> str:
    """What a row is called: the run's folder, with a number where another row has that name."""
    name = checkpoint.absolute().parent.name if checkpoint.name in ("best", "last") else checkpoint.name
    stem, number = name, 2
    while name in taken:
        name, number = f"{stem}-{number}", number + 1
    return name


def training_pace(checkpoint: Path) -> float | None:
    """Training clips a second, as its run has measured them; None where that is not known."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return float(json.loads((checkpoint.parent / "summary.json").read_text(encoding="utf-8"))["clips_per_s"])
    return None
