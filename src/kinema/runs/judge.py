"""Judge a trained network on labelled videos, whatever its task, and choose the videos for that."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.errors import DataError, UnknownClass
from kinema.runs.progress import SILENT, Progress
from kinema.runs.task import find_task
from kinema.types import IMAGE_FPS

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
    """Judge a network by the task of its card; see `Task.judge`."""
    return find_task(card.task).judge(network, card, data, options, progress)


def open_for(card: ModelCard, data: str, format: str = "auto", image_fps: float = IMAGE_FPS) -> DataSet:
    """List a data set with the classes of a network.

    Raises:
        DataError: the data has a class that the network does not know.
    """
    from kinema.datasets import open_data

    try:
        return open_data(data, format=format, labels=find_task(card.task).known_classes(card), image_fps=image_fps)
    except UnknownClass as error:
        hint = error.do if error.do.endswith("?") else f"{error.do}."
        do = f"{hint} Correct the label, or train a network that knows it"
        raise DataError(f"the network has {error.what}", data, do) from error


def part_name(data: DataSet, name: str) -> str:
    """The name of a part: "auto" is valid, else test, else "all"."""
    return next((part for part in ("valid", "test") if part in data.parts), "all") if name == "auto" else name


def kept_back(folder: Path) -> str:
    """The command that judges a run's network on the videos that it was not trained on; empty without a split.csv."""
    division = folder.parent / "split.csv"
    if not division.is_file():
        return ""
    command = shlex.join(["kinema", "evaluate", str(folder), str(division), "--split", "valid"])
    return f"`{command}` takes those kept back"


def choose_part(data: DataSet, name: str, hint: str = "") -> DataSet:
    """One part of a data set; "auto" is valid, else test, else everything.

    Args:
        data: the data set.
        name: of the part, "auto" or "all".
        hint: what the user can do if the data has no parts.

    Raises:
        DataError: there is no such part.
    """
    name = part_name(data, name)
    if hint and name != "all" and not data.parts:
        raise DataError(f"no {name} part, the data set is not divided", data.root, hint)
    return data if name == "all" else data.part(name)


def name_failures(groups: Iterable[Iterable[Failed]]) -> int:
    """Log each video that could not be read once. Returns the exit status: 1 if there is one, else 0."""
    errors = {failed.key: failed.error for group in groups for failed in group}
    for key, error in errors.items():
        log.error("%s", error if key in error else f"{key}: {error}")
    return 1 if errors else 0
