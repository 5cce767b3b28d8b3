"""The figures of located actions by the protocol of a benchmark, with what was counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from kinema.choices import LocatedProtocol
from kinema.localization.statistics import LabelStatistics


@dataclass(frozen=True, kw_only=True)
class LocatedJudgement:
    """The figures of a protocol, and what was counted.

    Args:
        protocol: its name.
        convention: the program and its rules in words.
        thresholds: of the overlap, or of the distance in seconds.
        figures: by name, from 0 to 1 (error rates may be larger, and MOTA may be negative).
        mean_ap: mean average precision by threshold, where the protocol has it.
        by_class: average precision of each class over the thresholds, where the protocol has classes.
        num_videos: videos with truth.
        num_true: true actions that were judged.
        num_doubled: true actions that stand twice in the file; `removed_doubled` says whether they were left out.
        num_answers: answers in the file.
        ignored: answers, or truth, that the protocol leaves out, by reason.
        kinds: kinds of error; `kinds_at` says at which overlap.
        statistics: of the labels in the "answers" and in the "truth", if asked for.
    """

    protocol: LocatedProtocol
    convention: str
    thresholds: tuple[float, ...] = ()
    figures: Mapping[str, float]
    mean_ap: Mapping[str, float] = field(default_factory=dict)
    by_class: Mapping[str, float] = field(default_factory=dict)
    num_videos: int
    num_true: int
    num_doubled: int = 0
    removed_doubled: bool = False
    num_answers: int
    num_unknown: int = 0
    ignored: Mapping[str, int] = field(default_factory=dict)
    kinds: Mapping[str, int] = field(default_factory=dict)
    kinds_at: str = "at tIoU 0.5"
    statistics: Mapping[str, tuple[LabelStatistics, ...]] = field(default_factory=dict)

    @property
    def average_map(self) -> float | None:
        """Mean average precision over classes and thresholds, where the protocol has it."""
        return self.figures.get("average_map")

    def to_json(self) -> dict[str, object]:
        """A plain dictionary; `num_true`, `num_answers` and `kinds` are there by their general names too."""
        statistics = {side: [row.to_json() for row in rows] for side, rows in self.statistics.items()}
        return {
            **{name: value for name, value in asdict(self).items() if name not in ("mean_ap", "statistics")},
            "mAP": dict(self.mean_ap),
            "average_mAP": self.average_map,
            "classes": {label: {"average_precision": value} for label, value in self.by_class.items()},
            "num_truth": self.num_true,
            "num_predictions": self.num_answers,
            "ignored": sum(self.ignored.values()),
            "ignored_by_reason": dict(self.ignored),
            "errors": dict(self.kinds),
            **({"statistics": statistics} if self.statistics else {}),
        }
