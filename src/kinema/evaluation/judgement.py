"""What the evaluations of all tasks share; reports, tables and commands use nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judgement(ABC):
    """How good a network is on a set of videos.

    Args:
        labels: the classes, in the order of the scores.
        figures: by name, such as "macro_f1".
        intervals: 95 % confidence intervals, low and high, of the figures that have one.
        classes: precision, recall and F1 of each class.
        confusion: counts [true predicted]; None if videos may have several labels.
        videos: the scored videos.
        protocol: the clips and crops of each video, such as "10x3".
        failures: videos that could not be scored.

    Subclasses say in `unit` what `classes` counts, and in `mistakes_note` what `mistakes` lists.
    """

    unit: ClassVar[str] = "videos"
    mistakes_note: ClassVar[str] = ""

    labels: Labels
    figures: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    classes: tuple[ClassScore, ...]
    confusion: NDArray[np.int64] | None
    videos: tuple[object, ...]
    protocol: str
    failures: tuple[Failed, ...] = ()

    def __getitem__(self, figure: str) -> float:
        return self.figures[figure]

    @property
    def num_videos(self) -> int:
        """Number of scored videos, without those that failed."""
        return len(self.videos)

    @property
    def num_failed(self) -> int:
        """Number of videos that could not be scored."""
        return len(self.failures)

    @property
    @abstractmethod
    def views(self) -> str:
        """The evaluation protocol in words."""

    @property
    @abstractmethod
    def loss(self) -> float:
        """Mean loss, in the unit of the task."""

    @abstractmethod
    def mistakes(self, count: int = 20) -> Sequence[Mistake]:
        """The worst predictions first."""

    @abstractmethod
    def to_json(self) -> dict[str, object]:
        """A plain dictionary: figures, counts, classes, intervals, confusion, failures."""

    @abstractmethod
    def videos_csv(self) -> str:
        """A CSV table with a row a video."""
