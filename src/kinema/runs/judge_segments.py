"""Judge located actions in files by the protocol of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinema.errors import DataError
from kinema.evaluation.located.detection import ACTIVITYNET, THUMOS, THUMOS2014, activitynet_map, thumos2014_map
from kinema.evaluation.located.error_kinds import ErrorKinds, error_kinds
from kinema.evaluation.located.proposals import proposal_recall
from kinema.evaluation.located.sound_events import event_counts, piece_counts

if TYPE_CHECKING:
    from kinema.choices import SegmentProtocol
    from kinema.evaluation.located.segments import SegmentTable

CONVENTIONS: Mapping[SegmentProtocol, str] = {
    "activitynet": "ActivityNet's program, interpolated precision, tIoU at least 0.5 to 0.95",
    "thumos": "ActivityNet's program, interpolated precision, tIoU at least 0.3 to 0.7",
    "thumos2014": "the THUMOS 2014 challenge, precision at each hit, tIoU above 0.1 to 0.7",
    "proposals": "ActivityNet's proposals, average recall at tIoU 0.5 to 0.95, 100 proposals a video",
    "events": "sed_eval, pieces of 1 s; onset within 0.25 s, offset within 0.25 s or half the length",
}
_MAX_PROPOSALS = 100


@dataclass(frozen=True, kw_only=True)
class SegmentJudgement:
    """The figures of a protocol, and what was counted.

    Args:
        protocol: its name.
        convention: the program and thresholds in words.
        figures: by name, from 0 to 1 (error rates may be larger).
        by_class: mean average precision of each class over the thresholds, where the protocol has classes.
        num_videos: videos with truth.
        num_true: true segments that were judged.
        num_doubled: true segments that stand twice in the file; `removed_doubled` says whether one was left out.
        num_answers: answers that were judged.
        num_unknown: answers of classes that the truth does not have; mean average precision leaves them out.
        kinds: kinds of error at a tIoU of 0.5.
    """

    protocol: SegmentProtocol
    convention: str
    figures: Mapping[str, float]
    by_class: Mapping[str, float]
    num_videos: int
    num_true: int
    num_doubled: int
    removed_doubled: bool
    num_answers: int
    num_unknown: int
    kinds: ErrorKinds

    def to_json(self) -> dict[str, object]:
        """A plain dictionary."""
        return asdict(self)


def judge_segments(
    truth: SegmentTable, answers: SegmentTable, protocol: SegmentProtocol, *, remove_doubled: bool = False
) -> SegmentJudgement:
    """Judge answered segments.

    Args:
        truth: true segments.
        answers: answered segments with scores.
        protocol: one of `CONVENTIONS`.
        remove_doubled: leave out true segments that stand twice, as OpenTAD and ActionFormer do; the official programs keep them,
            so that no answer can find the second one.

    Raises:
        DataError: there is no true segment.
    """
    single = truth.without_doubles()
    num_doubled = len(truth) - len(single)
    truth = single if remove_doubled else truth
    if not len(truth):
        raise DataError("there is no true segment to compare with", "", "check the part and the file of the truth")
    by_class: dict[str, float] = {}
    if protocol == "proposals":
        recall = proposal_recall(truth, answers, _MAX_PROPOSALS)
        figures = {"auc": recall.area, **{f"ar_at_{n}": float(recall.average_recall[n - 1]) for n in (1, 10, 100)}}
    elif protocol == "events":
        pieces, events = piece_counts(truth, answers), event_counts(truth, answers)
        figures = {"piece_error_rate": pieces.error_rate, "piece_f1": pieces.f1}
        figures |= {"event_error_rate": events.error_rate, "event_f1": events.f1}
    else:
        score = thumos2014_map if protocol == "thumos2014" else activitynet_map
        scores = score(truth, answers, {"thumos": THUMOS, "thumos2014": THUMOS2014}.get(protocol, ACTIVITYNET))
        figures = {"average_map": scores.average_mean_ap}
        figures |= {f"map_at_{at}": float(value) for at, value in zip(scores.thresholds, scores.mean_ap, strict=True)}
        by_class = dict(zip(scores.classes, scores.average_precision.mean(axis=1).tolist(), strict=True))
    known = np.isin(answers.labels, truth.labels)
    return SegmentJudgement(
        protocol=protocol, convention=CONVENTIONS[protocol], figures=figures, by_class=by_class,
        num_videos=len(set(truth.videos.tolist())), num_true=len(truth), num_doubled=num_doubled,
        removed_doubled=remove_doubled, num_answers=len(answers), num_unknown=int((~known).sum()),
        kinds=error_kinds(truth, answers),
    )  # fmt: skip
