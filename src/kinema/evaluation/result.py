"""The result of evaluating labels of videos, and its text forms: JSON, a class table and a table of videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from kinema.errors import DataError
from kinema.evaluation.baseline import Baseline, constant_scores, hit_chance
from kinema.evaluation.bootstrap import intervals
from kinema.evaluation.hits import best_classes
from kinema.evaluation.judgement import Failed, Judgement, Mistake, without_trivial
from kinema.evaluation.metrics import TOP, class_scores, clip_losses, confusion_matrix, mean_average_precision, tally
from kinema.evaluation.remarks import certainty_json
from kinema.evaluation.scores import VideoScores
from kinema.formats import table_csv

if TYPE_CHECKING:
    from kinema.evaluation.metrics import ClassScore
    from kinema.labels import Labels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation(Judgement):
    """How good the labels of videos are.

    `figures` and `intervals` have the same keys, except that mean average precision has no interval, nor hit@5 of five classes or
    fewer, which is always 1. `videos` keeps all scores, so that networks can be averaged afterwards.
    """

    main_figure: ClassVar[str] = "video_hit_at_1"
    mistakes_note: ClassVar[str] = (
        "The wrong predictions with the highest scores. Some labels of the data may be wrong: check them."
    )

    videos: tuple[VideoScores, ...]
    multi_label: bool = False

    @property
    def views(self) -> str:
        """The evaluation protocol in words."""
        return f"views a video (clips x crops): {self.protocol}"

    @property
    def loss(self) -> float:
        """Mean cross-entropy of the clips (binary if videos may have several labels), in nats."""
        return float(np.mean(np.concatenate([clip_losses(video, self.multi_label) for video in self.videos])))

    def mistakes(self, count: int = 20) -> list[Mistake]:
        """The videos with a wrong best class, the highest score first."""
        found = []
        for video in self.videos:
            mean, true = video.video, tuple(self.labels[target] for target in video.targets)
            best = int(mean.argmax())
            if best not in video.targets:
                found.append(Mistake(video.key, true, self.labels[best], round(float(mean[best]), 4)))
        return sorted(found, key=lambda mistake: (-mistake.score, mistake.key))[:count]

    def to_json(self, mistakes: int = 20) -> dict[str, object]:
        """A plain dictionary: the figures by name, counts, classes, intervals, confusion, mistakes, failures."""
        return {
            **{name: round(value, 6) for name, value in self.figures.items()},
            "loss": round(self.loss, 6),
            "num_videos": self.num_videos,
            "num_failed": self.num_failed,
            "protocol": self.protocol,
            **certainty_json(self),
            "classes": {row.label: class_json(row) for row in self.classes},
            "confusion": None if self.confusion is None else self.confusion.tolist(),
            "mistakes": [asdict(mistake) | {"true": list(mistake.true)} for mistake in self.mistakes(mistakes)],
            "failures": [{"path": failed.key, "error": failed.error} for failed in self.failures],
        }

    def videos_csv(self, top: int = 5) -> str:
        """One row for each video: path, true labels (joined by `|`), hits, error, the best classes and their scores."""
        top = min(top, len(self.labels))
        header = ["path", "true", "hit_at_1", "hit_at_5", "error"]
        header += [name for k in range(1, top + 1) for name in (f"top{k}", f"score{k}")]
        rows: list[list[object]] = []
        for video in self.videos:
            mean, true = video.video, "|".join(self.labels[target] for target in video.targets)
            order = best_classes(mean[None], len(self.labels))[0].tolist()
            hits = [int(not set(video.targets).isdisjoint(order[:k])) for k in (1, 5)]
            best = [cell for index in order[:top] for cell in (self.labels[index], f"{mean[index]:.6f}")]
            rows.append([video.key, true, *hits, "", *best])
        rows += [[failed.key, "", "", "", failed.error, *[""] * (2 * top)] for failed in self.failures]
        return table_csv(header, rows)


def evaluate_scores(
    videos: Sequence[VideoScores],
    labels: Labels,
    *,
    multi_label: bool = False,
    protocol: str = "1x1",
    failures: Sequence[Failed] = (),
    class_counts: Sequence[float] = (),
    seed: int = 0,
) -> Evaluation:
    """Evaluate scores: figures with bootstrap intervals, class table, confusion.

    Args:
        videos: scores and true classes, one entry for each video.
        labels: names of the classes, in the order of the score columns.
        multi_label: whether a video may have several labels; adds mean average precision, omits the confusion matrix.
        protocol: the protocol of the scores, for the record.
        failures: videos that could not be scored; they are counted and named only.
        class_counts: how frequent each class is in the training part, for the baseline; empty counts the evaluated videos.
        seed: seed of the bootstrap.

    Raises:
        DataError: no video has scores, or they have another number of classes than there are labels.
    """
    if not videos:
        raise DataError("no video could be scored", first_error(failures), "check the data with `kinema check`")
    if videos[0].scores.shape[1] != len(labels):
        raise DataError(f"{videos[0].scores.shape[1]} scores do not fit {len(labels)} classes", videos[0].key)
    counts = tally(videos, len(labels), multi_label)
    plain = {name: float(values[0]) for name, values in counts.figures(np.ones((1, len(videos)), np.float32)).items()}
    if multi_label:
        plain["mean_average_precision"] = mean_average_precision(np.stack([v.video for v in videos]), counts.truth)
    several = multi_label or any(len(video.targets) != 1 for video in videos)
    groups = [video.group or video.key for video in videos]
    drawn = without_trivial(intervals(counts.figures, groups, seed=seed), len(labels))
    return Evaluation(
        labels=labels,
        protocol=protocol,
        figures=plain,
        intervals={name: (low, high) for name, (low, high, _) in drawn.items()},
        interval_methods={name: interval.method for name, interval in drawn.items()},
        num_sources=len(set(groups)),
        baseline=_baseline(videos, labels, multi_label, class_counts),
        classes=class_scores(labels, *(row[0] for row in counts.class_counts(np.ones((1, len(videos)))))),
        confusion=None if several else confusion_matrix(counts),
        videos=tuple(videos),
        failures=tuple(failures),
        multi_label=multi_label,
    )


def _baseline(
    videos: Sequence[VideoScores], labels: Labels, multi_label: bool, class_counts: Sequence[float]
) -> Baseline:
    """The figures of naming the most frequent class for every video, and of guessing."""
    counted = given = np.asarray(class_counts, np.float64)
    if not given.any():
        counted = np.bincount([t for v in videos for t in v.targets], minlength=len(labels)).astype(np.float64)
    scores = constant_scores(counted)
    same = [VideoScores(video.key, video.target, scores[None]) for video in videos]
    counts = tally(same, len(labels), multi_label)
    figures = {name: float(values[0]) for name, values in counts.figures(np.ones((1, len(videos)), np.float32)).items()}
    numbers = [len(video.targets) for video in videos]
    chance = {f"{unit}_hit_at_{k}": hit_chance(numbers, len(labels), k) for unit in ("clip", "video") for k in TOP}
    if multi_label:
        figures["mean_average_precision"] = mean_average_precision(np.stack([v.video for v in same]), counts.truth)
        chance["mean_average_precision"] = figures["mean_average_precision"]
    else:
        chance["mean_class_accuracy"] = 1 / len(labels)
    known_from = "training part" if given.any() else "evaluated videos"
    tables = (without_trivial(table, len(labels)) for table in (figures, chance))
    return Baseline(labels[int(counted.argmax())], known_from, *tables)


def classes_csv(classes: Sequence[ClassScore]) -> str:
    """Class scores as CSV: label, n, precision, recall, f1."""
    rows = ([row.label, row.n, f"{row.precision:.6f}", f"{row.recall:.6f}", f"{row.f1:.6f}"] for row in classes)
    return table_csv(["label", "n", "precision", "recall", "f1"], rows)


def class_json(row: ClassScore) -> dict[str, float]:
    """Class scores without the label, rounded, for JSON."""
    return {"n": row.n, "precision": round(row.precision, 6), "recall": round(row.recall, 6), "f1": round(row.f1, 6)}


def first_error(failures: Sequence[Failed]) -> str:
    """The first failure as `path: error`; empty if there is none."""
    return f"{failures[0].key}: {failures[0].error}" if failures else ""
