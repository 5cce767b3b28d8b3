"""Judge a trained network on labelled videos, whatever its task, and the choice of the videos for that."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.errors import DataError, UnknownClass
from kinema.runs.progress import SILENT, Progress
from kinema.runs.task import find_task

if TYPE_CHECKING:
    from kinema.datasets.dataset import DataSet
    from kinema.engines.scorer import ClipScorer
    from kinema.evaluation import Failed, Judgement
    from kinema.models.network import Network
    from kinema.runs.options import ScoringOptions
    from kinema.weights.checkpoint import ModelCard


log = logging.getLogger("kinema")


def judge_network(
    network: Network | ClipScorer,
    card: ModelCard,
    data: DataSet,
    options: ScoringOptions,
    progress: Progress = SILENT,
) -> Judgement:
    """Judge a network by its task; see `Task.judge`."""
    return find_task(card.task).judge(network, card, data, options, progress)


def open_for(card: ModelCard, data: str, format: str = "auto") -> DataSet:
    """List a data set with the classes of a network.

    Raises:
        DataError: it has a class that the network does not know.
    """
    from kinema.datasets import open_data
    from kinema.labels import Labels

    try:
        return open_data(data, format=format, labels=Labels(tuple(card.labels)))
    except UnknownClass as error:
        hint = error.do if error.do.endswith("?") else f"{error.do}."
        do = f"{hint} Correct the label, or train a network that knows it"
        raise DataError(f"the network has {error.what}", data, do) from error


def part_name(data: DataSet, name: str) -> str:
    """The part that is meant: "auto" is valid, else test, else "all"."""
    return next((part for part in ("valid", "test") if part in data.parts), "all") if name == "auto" else name


def kept_back(folder: Path) -> str:
    """How to judge a run's network on what it did not learn from; empty where its division is not beside it."""
    division = folder.parent / "split.csv"
    if not division.is_file():
        return ""
    command = shlex.join(["kinema", "evaluate", str(folder), str(division), "--split", "valid"])
    return f"`{command}` takes those kept back"


def choose_part(data: DataSet, name: str, hint: str = "") -> DataSet:
    """One part of a data set; "auto" is valid, else test, else everything. `hint` says what to do where it has none.

    Raises:
        DataError: there is no such part.
    """
    name = part_name(data, name)
    if hint and name != "all" and not data.parts:
        raise DataError(f"no {name} part, the data set is not divided", data.root, hint)
    return data if name == "all" else data.part(name)


def name_failures(groups: Iterable[Iterable[Failed]]) -> int:
    """Log the videos that could not be read, each once; gives the exit status that they leave."""
    told = {failed.key: failed.error for group in groups for failed in group}
    for key, error in told.items():
        log.error("%s", error if key in error else f"{key}: {error}")
    return 1 if told else 0
