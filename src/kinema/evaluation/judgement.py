"""The interface that the evaluations of all tasks share; reports, tables and commands use nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kinema.evaluation.metrics import ClassScore
    from kinema.labels import Labels


@dataclass(frozen=True, slots=True)
class Failed:
    """A video that could not be scored, and why."""

    key: str
    error: str


@dataclass(frozen=True, slots=True)
class Mistake:
    """A video with a wrong prediction."""

    key: str
    true: tuple[str, ...]
    predicted: str
    score: float


class Judgement(Protocol):
    """How good a network is on a set of videos."""

    @property
    def labels(self) -> Labels:
        """The classes, in the order of the scores."""

    @property
    def figures(self) -> dict[str, float]:
        """Figures by name, such as "macro_f1"."""

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """95 % confidence intervals, low and high, of the figures that have one."""

    @property
    def classes(self) -> tuple[ClassScore, ...]:
        """Precision, recall and F1 of each class."""

    @property
    def confusion(self) -> NDArray[np.int64] | None:
        """Counts [true predicted]; None if videos may have several labels."""

    @property
    def failures(self) -> tuple[Failed, ...]:
        """Videos that could not be scored."""

    @property
    def protocol(self) -> str:
        """The evaluation protocol, such as "10x3"."""

    @property
    def views(self) -> str:
        """The evaluation protocol in words."""

    @property
    def unit(self) -> str:
        """What the class table counts, such as "videos"."""

    @property
    def mistakes_note(self) -> str:
        """Describes what `mistakes` lists."""

    @property
    def num_videos(self) -> int:
        """Number of evaluated videos, without those that failed."""

    @property
    def num_failed(self) -> int:
        """Number of videos that could not be scored."""

    @property
    def loss(self) -> float:
        """Mean loss of the task."""

    def mistakes(self, count: int = 20) -> Sequence[Mistake]:
        """The worst mistakes first."""

    def to_json(self) -> dict[str, object]:
        """A plain dictionary: figures, counts, classes, intervals, confusion, failures."""

    def videos_csv(self) -> str:
        """A table as CSV with one row for each video."""
