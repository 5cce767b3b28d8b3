"""The result of evaluating actions of boxes, and its text forms. It has the interface of `Evaluation`, with other figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from kinema.errors import DataError
from kinema.evaluation.judgement import Failed, Judgement, Mistake
from kinema.evaluation.located.boxes import BoxTable, ava_map, match_boxes
from kinema.evaluation.metrics import ClassScore
from kinema.evaluation.remarks import certainty_json
from kinema.evaluation.result import class_json, first_error
from kinema.formats import table_csv

if TYPE_CHECKING:
    from kinema.labels import Labels

ANSWER_SCORE = 0.5
"""Labels of boxes with at least this score count as answers in the table of classes; mean average precision takes all."""

IOU = 0.5
_PROTOCOL = f"AVA's frame mAP at an IoU of {IOU}"


@dataclass(frozen=True, slots=True, eq=False)
class BoxVideo:
    """The key frames of a video: true boxes and answers, and the binary cross-entropy of the scored boxes.

    `frames` names all key frames that were scored, with persons or without; `losses` is a sum over `num_boxes` boxes.
    """

    key: str
    frames: tuple[str, ...]
    truth: BoxTable
    answers: BoxTable
    losses: float = 0.0
    num_boxes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoxEvaluation(Judgement):
    """How well the actions in boxes are named. The class table counts labels of persons at key frames."""

    unit: ClassVar[str] = "boxes"
    main_figure: ClassVar[str] = "frame_map_at_0.5"
    mistakes_note: ClassVar[str] = (
        f"The answers with the highest scores that match no box of their class at an IoU of {IOU}."
    )

    videos: tuple[BoxVideo, ...]
    protocol: str = _PROTOCOL

    @property
    def views(self) -> str:
        """The evaluation protocol in words."""
        return f"judged by {self.protocol}"

    @property
    def loss(self) -> float:
        """Mean binary cross-entropy of the scored boxes, in nats."""
        return sum(video.losses for video in self.videos) / max(sum(video.num_boxes for video in self.videos), 1)

    def mistakes(self, count: int = 20) -> list[Mistake]:
        """Answers that match no true box of their class, the most confident first, with what is done in their key frame."""
        wrong = []
        for video in self.videos:
            answers = video.answers.take(video.answers.scores >= ANSWER_SCORE).by_score()
            for label in np.unique(answers.labels).tolist():
                own = answers.take(answers.labels == label)
                hits = match_boxes(video.truth.take(video.truth.labels == label), own, IOU)
                for row in np.flatnonzero(~hits).tolist():
                    here = video.truth.labels[video.truth.frames == own.frames[row]].tolist()
                    score = round(float(own.scores[row]), 4)
                    wrong.append(Mistake(str(own.frames[row]), tuple(dict.fromkeys(here)), label, score))
        return sorted(wrong, key=lambda mistake: (-mistake.score, mistake.key))[:count]

    def to_json(self) -> dict[str, object]:
        """A plain dictionary: the figures by name, counts, classes, failures."""
        return {
            **{name: round(value, 6) for name, value in self.figures.items()},
            "loss": round(self.loss, 6),
            "num_videos": self.num_videos,
            "num_key_frames": sum(len(video.frames) for video in self.videos),
            "num_boxes": sum(video.num_boxes for video in self.videos),
            "num_failed": self.num_failed,
            "protocol": self.protocol,
            "answer_score": ANSWER_SCORE,
            **certainty_json(self),
            "classes": {row.label: class_json(row) for row in self.classes},
            "failures": [{"path": failed.key, "error": failed.error} for failed in self.failures],
        }

    def videos_csv(self) -> str:
        """One row for each answer and each true label: key frame, shares of the frame, label, score (empty for truth), error."""
        rows: list[list[object]] = []
        for video in self.videos:
            for table, has_scores in ((video.truth, False), (video.answers, True)):
                for frame, box, label, score in zip(
                    table.frames, table.boxes.tolist(), table.labels, table.scores.tolist(), strict=True
                ):
                    sides = [f"{side:.4f}" for side in box]
                    rows.append([frame, *sides, label, f"{score:.6f}" if has_scores else "", ""])
        rows += [[failed.key, *[""] * 6, failed.error] for failed in self.failures]
        return table_csv(["key_frame", "left", "top", "right", "bottom", "label", "score", "error"], rows)


def evaluate_boxes(
    videos: Sequence[BoxVideo], labels: Labels, failures: Sequence[Failed] = (), *, detected: bool = False
) -> BoxEvaluation:
    """Evaluate the labels of boxes.

    Args:
        videos: truth and answers; answers at key frames without persons are wrong.
        labels: names of the classes.
        failures: videos that could not be read; they are counted and named only.
        detected: whether the boxes were detected, and not the true ones.

    Raises:
        DataError: no video could be read, or there is no true box.
    """
    if not videos:
        raise DataError("not one video could be read", first_error(failures), "check the files")
    truth, answers = (join_tables([getattr(video, name) for video in videos]) for name in ("truth", "answers"))
    frames = [frame for video in videos for frame in video.frames]
    scores = ava_map(truth, answers, tuple(labels), key_frames=frames, threshold=IOU)
    classes = tuple(_class_scores(truth, answers.take(answers.scores >= ANSWER_SCORE).by_score(), labels))
    present = [row.f1 for row in classes if row.n]
    return BoxEvaluation(
        labels=labels,
        figures={"frame_map_at_0.5": scores.mean_ap, "macro_f1": float(np.mean(present))},
        intervals={},
        num_sources=len(videos),
        classes=classes,
        confusion=None,
        videos=tuple(videos),
        protocol=f"{_PROTOCOL} with {'detected' if detected else 'true'} boxes",
        failures=tuple(failures),
    )


def join_tables(tables: Sequence[BoxTable]) -> BoxTable:
    """The rows of all tables."""
    return BoxTable(
        np.concatenate([table.frames for table in tables]),
        np.concatenate([table.labels for table in tables]),
        np.concatenate([table.boxes for table in tables]),
        np.concatenate([table.scores for table in tables]),
    )


def _class_scores(truth: BoxTable, ranked: BoxTable, labels: Labels) -> Iterator[ClassScore]:
    """Precision, recall and F1 of each class; a true box is found by one answer only."""
    for label in labels:
        true, own = truth.take(truth.labels == label), ranked.take(ranked.labels == label)
        hits = int(match_boxes(true, own, IOU).sum())
        f1 = 2 * hits / max(len(true) + len(own), 1)
        yield ClassScore(label, len(true), hits / max(len(own), 1), hits / max(len(true), 1), f1)
