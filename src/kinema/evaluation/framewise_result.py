"""The result of evaluating frame-wise labels, and its text forms. It has the interface of `Evaluation`, with other figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from kinema.errors import DataError
from kinema.evaluation.baseline import Baseline, constant_scores
from kinema.evaluation.bootstrap import intervals
from kinema.evaluation.framewise import FrameScores, runs_of, tally_frames
from kinema.evaluation.judgement import Failed, Judgement, Mistake
from kinema.evaluation.metrics import class_scores
from kinema.evaluation.remarks import certainty_json
from kinema.evaluation.result import class_json, first_error
from kinema.formats import table_csv
from kinema.labels import IGNORED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.labels import Labels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FramewiseEvaluation(Judgement):
    """How good the labels of frames are.

    `figures` and `intervals` have the same keys. `confusion` and `n` of the class table count frames.
    """

    unit: ClassVar[str] = "steps"
    main_figure: ClassVar[str] = "frame_accuracy"
    mistakes_note: ClassVar[str] = (
        "The videos with the largest share of wrong frames, each with its most frequent wrong label."
    )

    confusion: NDArray[np.int64]
    videos: tuple[FrameScores, ...]
    protocol: str = "each step"
    background: int | None = None

    @property
    def views(self) -> str:
        """The evaluation protocol in words."""
        return "judged at each step"

    @property
    def loss(self) -> float:
        """Mean cross-entropy of the labelled frames, in nats."""
        chances = [v.scores[v.targets != IGNORED, v.targets[v.targets != IGNORED]] for v in self.videos]
        return float(-np.log(np.maximum(np.concatenate(chances), np.finfo(np.float32).tiny)).mean())

    def mistakes(self, count: int = 20) -> list[Mistake]:
        """The videos with the largest share of wrong frames first; each with its most frequent wrong label and that share."""
        found = []
        for video in self.videos:
            true, predicted = video.labelled
            wrong = predicted[predicted != true]
            if len(wrong):
                names = tuple(self.labels[label] for label in dict.fromkeys(true.tolist()))
                worst = self.labels[int(np.bincount(wrong).argmax())]
                found.append(Mistake(video.key, names, worst, round(len(wrong) / len(true), 4)))
        return sorted(found, key=lambda mistake: (-mistake.score, mistake.key))[:count]

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
            **certainty_json(self),
            "classes": {row.label: class_json(row) for row in self.classes},
            "confusion": self.confusion.tolist(),
            "failures": [{"path": failed.key, "error": failed.error} for failed in self.failures],
        }

    def videos_csv(self) -> str:
        """One row for each video: path, labelled frames, the share that is right, true and predicted segments, error."""
        rows: list[list[object]] = []
        for video in self.videos:
            true, predicted = video.labelled
            segments = [len(runs_of(classes, self.background)) for classes in (true, predicted)]
            rows.append([video.key, len(true), f"{(true == predicted).mean():.6f}", *segments, ""])
        rows += [[failed.key, "", "", "", "", failed.error] for failed in self.failures]
        return table_csv(["path", "steps", "frame_accuracy", "true_segments", "predicted_segments", "error"], rows)


def evaluate_frames(
    videos: Sequence[FrameScores],
    labels: Labels,
    *,
    background: int | None = None,
    failures: Sequence[Failed] = (),
    class_counts: Sequence[float] = (),
    seed: int = 0,
) -> FramewiseEvaluation:
    """Evaluate scores of frames: figures with bootstrap intervals over videos or their groups, class table, confusion.

    Args:
        videos: scores and true classes, one entry for each video; videos without a labelled frame are left out.
        labels: names of the classes, in the order of the score columns.
        background: the class of times that no label covers; segment figures ignore its segments.
        failures: videos that could not be scored; they are counted and named only.
        class_counts: how much time of the training part each class has, for the baseline; empty counts the evaluated frames.
        seed: seed of the bootstrap.

    Raises:
        DataError: no video has a labelled frame, or the scores have another number of classes than there are labels.
    """
    scored = [video for video in videos if (video.targets != IGNORED).any()]
    if not scored:
        do = "check the times of the labels, and the files"
        raise DataError("no labelled frame could be scored", first_error(failures), do)
    if scored[0].scores.shape[1] != len(labels):
        raise DataError(f"{scored[0].scores.shape[1]} scores do not fit {len(labels)} classes", scored[0].key)
    counts = tally_frames(scored, len(labels), background)
    plain = counts.figures(np.ones((1, len(scored)), np.float32))
    groups = [video.group or video.key for video in scored]
    drawn = intervals(counts.figures, groups, seed=seed)
    return FramewiseEvaluation(
        labels=labels,
        figures={name: float(values[0]) for name, values in plain.items()},
        intervals={name: (low, high) for name, (low, high, _) in drawn.items()},
        interval_methods={name: interval.method for name, interval in drawn.items()},
        num_sources=len(set(groups)),
        baseline=_baseline(scored, labels, background, class_counts),
        classes=class_scores(labels, *(table.sum(axis=0) for table in (counts.right, counts.true, counts.predicted))),
        confusion=counts.confusion,
        videos=tuple(scored),
        background=background,
        failures=tuple(failures),
    )


def _baseline(
    videos: Sequence[FrameScores], labels: Labels, background: int | None, class_counts: Sequence[float]
) -> Baseline:
    """The figures of naming the most frequent class for every frame, and of guessing."""
    counted = given = np.asarray(class_counts, np.float64)
    frames = np.concatenate([video.labelled[0] for video in videos])
    if not given.any():
        counted = np.bincount(frames, minlength=len(labels)).astype(np.float64)
    scores = constant_scores(counted)
    same = [FrameScores(v.key, v.targets, np.broadcast_to(scores, v.scores.shape)) for v in videos]
    figures = tally_frames(same, len(labels), background).figures(np.ones((1, len(videos)), np.float32))
    chance = dict.fromkeys(("frame_accuracy", "mean_class_accuracy"), 1 / len(labels))
    known_from = "training part" if given.any() else "evaluated videos"
    return Baseline(
        labels[int(counted.argmax())], known_from, {name: float(value[0]) for name, value in figures.items()}, chance
    )
