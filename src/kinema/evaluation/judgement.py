"""What the evaluations of all tasks share; reports, tables and commands use nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kinema.evaluation.baseline import Baseline
    from kinema.evaluation.metrics import ClassScore
    from kinema.labels import Labels


T = TypeVar("T")

FIGURE_NAMES = {
    "frame_accuracy": "Frame accuracy",
    "video_hit_at_1": "Video hit@1",
    "video_hit_at_5": "Video hit@5",
    "clip_hit_at_1": "Clip hit@1",
    "clip_hit_at_5": "Clip hit@5",
    "macro_f1": "Macro-F1",
    "mean_class_accuracy": "Mean class accuracy",
    "mean_average_precision": "Mean average precision",
    "edit_score": "Edit score",
    "f1_at_10": "Segment F1@10",
    "f1_at_25": "Segment F1@25",
    "f1_at_50": "Segment F1@50",
    "average_map": "Average mAP",
    "frame_map_at_0.5": "Frame mAP@0.5",
    "map_at_0.5": "mAP@0.5",
    "map_at_0.75": "mAP@0.75",
}


def figure_names(figures: Iterable[str]) -> dict[str, str]:
    """Display names by figure: those of `FIGURE_NAMES` in its order, then those that only a task knows."""
    known = {key: name for key, name in FIGURE_NAMES.items() if key in figures}
    return known | {key: key.replace("_", " ").capitalize() for key in figures if key not in known}


def without_trivial(values: Mapping[str, T], num_classes: int) -> dict[str, T]:
    """Values by figure without hit@5 if that is 1 by construction."""
    return {name: value for name, value in values.items() if num_classes > 5 or not name.endswith("hit_at_5")}


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
        interval_methods: of each interval, such as "bootstrap by source" or "Clopper-Pearson by video".
        num_sources: number of sources (cameras, films, …) of the videos; that of the videos if no sources are known.
        baseline: figures without looking at the videos.

    Subclasses say in `unit` what `classes` counts, in `mistakes_note` what `mistakes` lists, and in `main_figure` which figure
    is compared with the baseline.
    """

    unit: ClassVar[str] = "videos"
    mistakes_note: ClassVar[str] = ""
    main_figure: ClassVar[str] = ""

    labels: Labels
    figures: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    classes: tuple[ClassScore, ...]
    confusion: NDArray[np.int64] | None
    videos: tuple[object, ...]
    protocol: str
    failures: tuple[Failed, ...] = ()
    interval_methods: Mapping[str, str] = field(default_factory=dict)
    num_sources: int = 0
    baseline: Baseline | None = None

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
