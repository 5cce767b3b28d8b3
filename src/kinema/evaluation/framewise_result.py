"""The outcome of judging a label at every step, and its text forms. It reads like `Evaluation`, with other figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinema.errors import DataError
from kinema.evaluation.bootstrap import intervals
from kinema.evaluation.framewise import FrameScores, FrameTally, runs_of, tally_frames
from kinema.evaluation.judgement import Failed, Mistake
from kinema.evaluation.metrics import ClassScore
from kinema.evaluation.result import class_json
from kinema.formats import table_csv
from kinema.labels import IGNORED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.labels import Labels


@dataclass(frozen=True, slots=True, eq=False)
class FramewiseEvaluation:
    """What a network that answers at every step is worth on a set of videos.

    `figures` and `intervals` (95 %, low and high) have the same keys; `confusion` [true predicted] counts steps, and so
    does `n` of the class table.
    """

    labels: Labels
    figures: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    classes: tuple[ClassScore, ...]
    confusion: NDArray[np.int64]
    videos: tuple[FrameScores, ...]
    background: int | None = None
    failures: tuple[Failed, ...] = ()

    protocol = "each step"
    views = "judged at each step"
    unit = "steps"
    mistakes_note = "The videos with the largest share of wrong steps, and what was said wrongly most often."

    def __getitem__(self, figure: str) -> float:
        return self.figures[figure]

    @property
    def num_videos(self) -> int:
        """Videos behind the figures; those that failed are not among them."""
        return len(self.videos)

    @property
    def num_failed(self) -> int:
        """Videos that could not be scored."""
        return len(self.failures)

    @property
    def loss(self) -> float:
        """Mean cross-entropy of the judged steps, in nats."""
        chances = [v.scores[v.targets != IGNORED, v.targets[v.targets != IGNORED]] for v in self.videos]
        return float(-np.log(np.maximum(np.concatenate(chances), np.finfo(np.float32).tiny)).mean())

    def mistakes(self, count: int = 20) -> list[Mistake]:
        """The videos with the most wrong steps, the worst first; each with its most frequent wrong label and the share wrong."""
        wrong = [mistake for video in self.videos if (mistake := _as_mistake(video, self.labels)) is not None]
        return sorted(wrong, key=lambda mistake: (-mistake.score, mistake.key))[:count]

    def to_json(self) -> dict[str, object]:
        """A plain dictionary: the figures by name, counts, classes, intervals, confusion, failures."""
        return {
            **{name: round(value, 6) for name, value in self.figures.items()},
            "loss": round(self.loss, 6),
            "num_videos": self.num_videos,
            "num_steps": int(self.confusion.sum()),
            "num_failed": self.num_failed,
            "protocol": self.protocol,
            "background": None if self.background is None else self.labels[self.background],
            "intervals": {name: [round(low, 6), round(high, 6)] for name, (low, high) in self.intervals.items()},
            "classes": {row.label: class_json(row) for row in self.classes},
            "confusion": self.confusion.tolist(),
            "failures": [{"path": failed.key, "error": failed.error} for failed in self.failures],
        }

    def videos_csv(self) -> str:
        """One row a video: path, judged steps, share of them that is right, true and predicted segments, error."""
        rows: list[list[object]] = [_video_row(video, self.background) for video in self.videos]
        rows += [[failed.key, "", "", "", "", failed.error] for failed in self.failures]
        return table_csv(["path", "steps", "frame_accuracy", "true_segments", "predicted_segments", "error"], rows)


def evaluate_frames(
    videos: Sequence[FrameScores],
    labels: Labels,
    *,
    background: int | None = None,
    failures: Sequence[Failed] = (),
    seed: int = 0,
) -> FramewiseEvaluation:
    """Judge scores at steps: figures with bootstrap intervals over videos or their groups, class table, confusion.

    Args:
        videos: scores beside the truth, one entry a video; those without a judged step are left out.
        labels: names of the classes, in the order of the score columns.
        background: the class of times that no label covers; its segments count in no figure of segments.
        failures: videos that could not be scored; they are counted and named, not judged.
        seed: of the bootstrap.

    Raises:
        DataError: not one video has a judged step, or scores have another number of classes than there are labels.
    """
    judged = [video for video in videos if (video.targets != IGNORED).any()]
    if not judged:
        where = f"{failures[0].key}: {failures[0].error}" if failures else ""
        raise DataError("not one labelled step could be scored", where, "check the times of the labels, and the files")
    if judged[0].scores.shape[1] != len(labels):
        raise DataError(f"{judged[0].scores.shape[1]} scores do not fit {len(labels)} classes", judged[0].key)
    counts = tally_frames(judged, len(labels), background)
    plain = counts.figures(np.ones((1, len(judged)), np.float32))
    return FramewiseEvaluation(
        labels=labels,
        figures={name: float(values[0]) for name, values in plain.items()},
        intervals=intervals(counts.figures, [video.group or video.key for video in judged], seed=seed),
        classes=_class_table(counts, labels),
        confusion=counts.confusion,
        videos=tuple(judged),
        background=background,
        failures=tuple(failures),
    )


def _class_table(counts: FrameTally, labels: Sequence[str]) -> tuple[ClassScore, ...]:
    right, carried, said = (table.sum(axis=0) for table in (counts.right, counts.carried, counts.said))
    precision, recall = right / np.maximum(said, 1), right / np.maximum(carried, 1)
    f1 = 2 * right / np.maximum(carried + said, 1)
    rows = zip(labels, carried.tolist(), precision.tolist(), recall.tolist(), f1.tolist(), strict=True)
    return tuple(ClassScore(*row) for row in rows)


def _as_mistake(video: FrameScores, labels: Labels) -> Mistake | None:
    true, said = video.judged
    wrong = said[said != true]
    if not len(wrong):
        return None
    names = tuple(labels[label] for label in dict.fromkeys(true.tolist()))
    return Mistake(video.key, names, labels[int(np.bincount(wrong).argmax())], round(len(wrong) / len(true), 4))


def _video_row(video: FrameScores, background: int | None) -> list[object]:
    true, said = video.judged
    segments = [len(runs_of(classes, background)) for classes in (true, said)]
    return [video.key, len(true), f"{(true == said).mean():.6f}", *segments, ""]
