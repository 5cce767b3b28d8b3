"""What a network is asked, as one protocol: a module in `kinema.runs.tasks` for each task, with its `TASK`.

A new task is a new module there. Its file name is what `--task` takes and, unless it says otherwise, what the card holds.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from kinema.choices import TASKS
from kinema.errors import UnknownName
from kinema.runs.progress import Progress

if TYPE_CHECKING:
    from kinema.datasets.clips import ClipDataset
    from kinema.datasets.dataset import DataSet
    from kinema.datasets.features import FeatureDataset
    from kinema.engines.scorer import ClipScorer
    from kinema.evaluation.judgement import Judgement
    from kinema.models.network import Network
    from kinema.runs.config import TrainConfig
    from kinema.runs.options import ScoringOptions
    from kinema.training.loop import Validate
    from kinema.training.objective import Objective
    from kinema.training.options import FitOptions
    from kinema.weights.checkpoint import ModelCard


@dataclass(frozen=True)
class Parts:
    """What a network learns from, and what it is validated on."""

    training: DataSet
    validation: DataSet


@dataclass(frozen=True, kw_only=True)
class TrainingInputs:
    """What the training loop needs from a task.

    Args:
        data: examples as the loop's loader reads them.
        validate: figures of the network on the validation part, called after each epoch.
        options: for the loop.
        objective: how a batch becomes a loss; None is one label, or several, a clip.
        collate: joins examples to a batch with `indices` and `broken`; None joins clips.
    """

    data: ClipDataset | FeatureDataset
    validate: Validate
    options: FitOptions
    objective: Objective[Any] | None = None
    collate: Callable[[Sequence[Any]], Any] | None = None


class Task(Protocol):
    """What a network is asked, and everything in training and judging that depends on it."""

    @property
    def card_task(self) -> str:
        """What the card of a trained network holds; predictions are made for it."""

    def headline(self, figures: Mapping[str, float]) -> str:
        """The main figures in words, such as "video hit@1 93.8%, macro F1 0.937"."""

    def prepare(self, data: DataSet, config: TrainConfig) -> tuple[DataSet, TrainConfig]:
        """The data with the classes that the task needs, and the settings with what it needs.

        Raises:
            ConfigError: a setting that has no meaning for the task.
            DataError: data that the task cannot use.
        """

    def check(self, network: Network, config: TrainConfig) -> None:
        """Find settings that do not fit the network, before there is a run folder.

        Raises:
            ConfigError: they do not.
        """

    def training_inputs(
        self, parts: Parts, config: TrainConfig, network: Network, card: ModelCard, progress: Progress
    ) -> TrainingInputs:
        """What the training loop learns from and is validated by."""

    def judge(
        self,
        network: Network | ClipScorer,
        card: ModelCard,
        data: DataSet,
        options: ScoringOptions,
        progress: Progress,
    ) -> Judgement:
        """Judge a trained network on labelled videos, whose classes are those of the card.

        Raises:
            DataError: the classes differ, or not one video can be read.
            ConfigError: views that the task does not have.
        """


def find_task(name: str) -> Task:
    """The task of that name.

    Raises:
        UnknownName: there is none.
    """
    if name not in TASKS:
        raise UnknownName("task", name, TASKS)
    task: Task = importlib.import_module(f"kinema.runs.tasks.{name}").TASK
    return task
