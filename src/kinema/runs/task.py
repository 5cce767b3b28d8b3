"""The task of a network as one protocol. Each module in `kinema.runs.tasks` is a task and holds one as `TASK`.

A new task is a new module there and needs no other change. Its file name is the name that `--task` takes.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from kinema.choices import TASKS
from kinema.errors import CheckpointError, DataError, UnknownName
from kinema.labels import Labels
from kinema.runs.progress import Progress

if TYPE_CHECKING:
    from kinema.datasets.clips import ClipDataset
    from kinema.datasets.dataset import DataSet
    from kinema.datasets.features import FeatureDataset
    from kinema.datasets.located_windows import LocatedWindows
    from kinema.engines.scorer import ClipScorer
    from kinema.evaluation.judgement import Judgement
    from kinema.models.network import Network
    from kinema.runs.config import TrainConfig
    from kinema.runs.options import ScoringOptions
    from kinema.training.loop import Collate, Validate
    from kinema.training.objective import Objective
    from kinema.training.options import FitOptions
    from kinema.weights.checkpoint import ModelCard


@dataclass(frozen=True)
class Parts:
    """The part of a data set that a network is trained on, and the part that validates it."""

    training: DataSet
    validation: DataSet

    @classmethod
    def of(cls, data: DataSet) -> Parts:
        """Both parts of a divided data set.

        Raises:
            DataError: a part is missing, or too small.
        """
        parts = cls(data.part("train"), data.part("valid"))
        if len(parts.training.examples) < 2:
            raise DataError(
                "a training part of at least two examples is needed", data.root, "add videos or set --valid-fraction"
            )
        return parts


@dataclass(frozen=True, kw_only=True)
class TrainingInputs:
    """What the training loop gets from a task.

    Args:
        data: examples that the loop's loader reads.
        validate: computes the figures of the network on the validation part, after each epoch.
        options: of the loop.
        objective: computes the loss of a batch; None for one or several labels a clip.
        collate: joins examples to a batch with `indices` and `broken`; None joins clips.
    """

    data: ClipDataset | FeatureDataset | LocatedWindows
    validate: Validate
    options: FitOptions
    objective: Objective[Any] | None = None
    collate: Collate | None = None


class Task(Protocol):
    """What a network predicts, and everything in training and evaluation that depends on it.

    A task inherits from this class, so that it defines only what differs from the defaults here.
    """

    card_task: str
    """The task in the cards of trained networks: networks are evaluated by the task of their card."""

    uses_clip_scores: bool = True
    """Whether a network is judged by its scores of clips. Every engine computes these; without them it is torch only."""

    def headline(self, figures: Mapping[str, float]) -> str:
        """The main figures in words, such as "video hit@1 93.8%, macro F1 0.937"."""

    def prepare(self, data: DataSet, config: TrainConfig) -> tuple[DataSet, TrainConfig]:
        """Adapt the data and the settings to the task. By default both stay as they are.

        Raises:
            ConfigError: a setting has no meaning for the task.
            DataError: the task cannot use the data.
        """
        return data, config

    def outputs(self, data: DataSet) -> tuple[str, ...]:
        """Names of the network's outputs, which its card holds as labels. By default the classes of the data."""
        return tuple(data.labels)

    def class_counts(self, data: DataSet, config: TrainConfig) -> list[float]:
        """How frequent each output is in a part, for the baseline: by default the number of its examples; empty has none."""
        return list(map(float, data.counts().values())) if self.outputs(data) == tuple(data.labels) else []

    def known_classes(self, card: ModelCard) -> Labels | None:
        """The classes that labels may come from when a network is judged, by default its outputs; None allows any."""
        return Labels(tuple(card.labels))

    def build(self, config: TrainConfig, num_outputs: int, progress: Progress) -> Network:
        """Build a new network that the settings describe; `progress` receives that of downloads.

        Raises:
            UnknownName, ConfigError: there is no such network, or it cannot be built with these settings.
        """
        return config.build(config.model, num_outputs)

    def check(self, network: Network, config: TrainConfig) -> None:
        """Make sure that the settings fit the network, before there is a run folder. By default every network will do.

        Raises:
            ConfigError: they do not.
        """
        return  # without a statement the method would be abstract

    def training_inputs(
        self, parts: Parts, config: TrainConfig, network: Network, card: ModelCard, progress: Progress
    ) -> TrainingInputs:
        """Build what the training loop learns from and is validated by."""

    def judge(
        self,
        network: Network | ClipScorer,
        card: ModelCard,
        data: DataSet,
        options: ScoringOptions,
        progress: Progress,
    ) -> Judgement:
        """Judge a trained network on labelled videos.

        Raises:
            DataError: the data has other classes than the network, or not one video can be read.
            ConfigError: the task does not have these views.
        """


CLASS_COUNTS = "class_counts"
"""The entry of a card's `data` that holds how frequent each class was in the training part."""


def training_counts(card: ModelCard) -> tuple[float, ...]:
    """How frequent each class was in the training part of a network; empty if its card does not say so.

    Raises:
        CheckpointError: the card says something else there.
    """
    counts = card.data.get(CLASS_COUNTS)
    if counts is None:
        return ()
    numbers = [count for count in counts if isinstance(count, int | float)] if isinstance(counts, list | tuple) else []
    if len(numbers) != len(card.labels) or not all(0 <= count < float("inf") for count in numbers):
        what = f"{CLASS_COUNTS} of the card are not {len(card.labels)} numbers of zero or more"
        raise CheckpointError(what, card.variant, "remove this entry of `data` in model.json")
    return tuple(map(float, numbers))


def find_task(name: str) -> Task:
    """The task of that name.

    Raises:
        UnknownName: there is none.
    """
    if name not in TASKS:
        raise UnknownName("task", name, TASKS)
    task: Task = importlib.import_module(f"kinema.runs.tasks.{name}").TASK
    return task
