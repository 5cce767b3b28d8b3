"""The result of evaluating located actions, and its text forms. It has the interface of `Evaluation`, with other figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from kinema.errors import DataError
from kinema.evaluation.judgement import Failed, Judgement, Mistake
from kinema.evaluation.located.detection import ACTIVITYNET, activitynet_map, match_by_score
from kinema.evaluation.located.segments import SegmentTable, classes_of
from kinema.evaluation.metrics import ClassScore
from kinema.evaluation.remarks import certainty_json
from kinema.evaluation.result import class_json, first_error
from kinema.formats import table_csv

if TYPE_CHECKING:
    from kinema.labels import Labels
    from kinema.predictions import Segment

ANSWER_SCORE = 0.3
"""Segments with at least this score count as answers in the table of classes; mean average precision takes all of them."""

_RIGHT = 0.5


@dataclass(frozen=True, slots=True)
class LocatedActions:
    """The true actions of a video, and the segments that were found in it, with their scores."""

    key: str
    truth: tuple[Segment, ...]
    found: tuple[Segment, ...]
    group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LocatedEvaluation(Judgement):
    """How well actions are located. The class table counts actions, and answers with a score of at least `ANSWER_SCORE`."""

    unit: ClassVar[str] = "actions"
    main_figure: ClassVar[str] = "average_map"
    mistakes_note: ClassVar[str] = (
        f"The answers with the highest scores that match no action of their class at a tIoU of {_RIGHT}."
    )

    videos: tuple[LocatedActions, ...]
    protocol: str = "ActivityNet's mean average precision at a tIoU of 0.5 to 0.95"

    @property
    def views(self) -> str:
        """The evaluation protocol in words."""
        return f"judged by {self.protocol}"

    @property
    def loss(self) -> float:
        """What the average mAP lacks to 1."""
        return 1 - self.figures["average_map"]

    def mistakes(self, count: int = 20) -> list[Mistake]:
        """Answers that match no action, the most confident first, with the actions at their time."""
        wrong = []
        for video in self.videos:
            answers = [segment for segment in video.found if segment.score >= ANSWER_SCORE]
            hit = _hits({video.key: video.truth}, {video.key: answers})
            for segment in answers:
                if segment not in hit:
                    here = (other.label for other in video.truth if other.span.iou(segment.span) > 0)
                    name = f"{segment.label} {segment.span.start_s:.1f}-{segment.span.end_s:.1f} s"
                    wrong.append(Mistake(video.key, tuple(dict.fromkeys(here)), name, round(segment.score, 4)))
        return sorted(wrong, key=lambda mistake: (-mistake.score, mistake.key))[:count]

    def to_json(self) -> dict[str, object]:
        """A plain dictionary: the figures by name, counts, classes, failures."""
        return {
            **{name: round(value, 6) for name, value in self.figures.items()},
            "loss": round(self.loss, 6),
            "num_videos": self.num_videos,
            "num_actions": sum(len(video.truth) for video in self.videos),
            "num_failed": self.num_failed,
            "protocol": self.protocol,
            "answer_score": ANSWER_SCORE,
            **certainty_json(self),
            "classes": {row.label: class_json(row) for row in self.classes},
            "failures": [{"path": failed.key, "error": failed.error} for failed in self.failures],
        }

    def videos_csv(self) -> str:
        """One row for each answer and each true action: path, start, end, label, score (empty for truth), error."""
        rows: list[list[object]] = []
        for video in self.videos:
            for segment in video.truth:
                rows.append([video.key, *_times(segment), segment.label, "", ""])
            for segment in video.found:
                rows.append([video.key, *_times(segment), segment.label, f"{segment.score:.6f}", ""])
        rows += [[failed.key, "", "", "", "", failed.error] for failed in self.failures]
        return table_csv(["path", "start_s", "end_s", "label", "score", "error"], rows)


def evaluate_located(
    videos: Sequence[LocatedActions], labels: Labels, failures: Sequence[Failed] = ()
) -> LocatedEvaluation:
    """Evaluate located actions.

    Args:
        videos: truth and answers of each video; videos without any action count, because answers in them are wrong.
        labels: names of the classes.
        failures: videos that could not be read; they are counted and named only.

    Raises:
        DataError: no video could be read, or there is no true action.
    """
    if not videos:
        raise DataError("not one video could be read", first_error(failures), "check the files")
    truth = SegmentTable.of({video.key: video.truth for video in videos})
    found = SegmentTable.of({video.key: video.found for video in videos})
    scores = activitynet_map(truth, found)
    at = dict(zip(ACTIVITYNET, scores.mean_ap.tolist(), strict=True))
    return LocatedEvaluation(
        labels=labels,
        figures={"average_map": scores.average_mean_ap, "map_at_0.5": at[0.5], "map_at_0.75": at[0.75]},
        intervals={},
        num_sources=len({video.group or video.key for video in videos}),
        classes=tuple(_class_scores(truth, found.take(found.scores >= ANSWER_SCORE), labels)),
        confusion=None,
        videos=tuple(videos),
        failures=tuple(failures),
    )


def _class_scores(truth: SegmentTable, answers: SegmentTable, labels: Labels) -> Iterator[ClassScore]:
    """Precision, recall and F1 of each class at a tIoU of one half; an action is found by one answer only."""
    tables = {name: (true, ranked) for name, true, ranked in classes_of(truth, answers)}
    for label in labels:
        true, ranked = tables.get(label, (truth.take(truth.labels == label), answers.take(answers.labels == label)))
        hits = int(match_by_score(true, ranked, [_RIGHT]).sum())
        precision, recall = hits / max(len(ranked), 1), hits / max(len(true), 1)
        f1 = 2 * hits / max(len(true) + len(ranked), 1)
        yield ClassScore(label, len(true), precision, recall, f1)


def _hits(truth: dict[str, tuple[Segment, ...]], answers: dict[str, list[Segment]]) -> set[Segment]:
    """The answers of one video that match an action."""
    (listed,) = answers.values()
    table = SegmentTable.of(answers)
    right: set[Segment] = set()
    for label in {segment.label for segment in listed}:
        own = [segment for segment in listed if segment.label == label]
        order = np.argsort([-segment.score for segment in own], kind="stable")
        true = SegmentTable.of({key: [s for s in segments if s.label == label] for key, segments in truth.items()})
        hits = match_by_score(true, table.take(table.labels == label).by_score(), [_RIGHT])[0]
        right |= {own[place] for place, hit in zip(order, hits, strict=True) if hit}
    return right


def _times(segment: Segment) -> tuple[str, str]:
    return f"{segment.span.start_s:.3f}", f"{segment.span.end_s:.3f}"
