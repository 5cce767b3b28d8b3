"""Judge located actions in files by the protocol of a benchmark."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np

from kinema.errors import DataError, nearest
from kinema.evaluation.framewise import OVERLAPS
from kinema.evaluation.located.detection import ACTIVITYNET, THUMOS, THUMOS2014, activitynet_map, thumos2014_map
from kinema.evaluation.located.error_kinds import error_kinds
from kinema.evaluation.located.proposals import proposal_recall
from kinema.evaluation.located.segmental import segmental_scores_of_spans
from kinema.evaluation.located.segments import SegmentTable
from kinema.evaluation.located.sound_events import event_counts, piece_counts
from kinema.evaluation.located.spotting import TOLERANCES_S, SpottedEvent, spotting_map
from kinema.localization.statistics import label_statistics
from kinema.runs.located_judgement import LocatedJudgement
from kinema.runs.segment_files import read_events, read_segments

if TYPE_CHECKING:
    from kinema.choices import SegmentProtocol
    from kinema.evaluation.framewise import Run
    from kinema.runs.segment_files import SegmentFile

log = logging.getLogger("kinema")

CONVENTIONS: Mapping[SegmentProtocol, str] = {
    "activitynet": "ActivityNet's program, interpolated precision, tIoU at least 0.5 to 0.95",
    "thumos": "ActivityNet's program, interpolated precision, tIoU at least 0.3 to 0.7",
    "thumos2014": "the THUMOS 2014 challenge, precision at each hit, tIoU above 0.1 to 0.7",
    "proposals": "ActivityNet's proposals, average recall at tIoU 0.5 to 0.95, 100 proposals a video",
    "segmental": "edit score and F1@k by video (Lea et al.) and pooled (MS-TCN), IoU at least 0.1, 0.25, 0.5",
    "events": "sed_eval, pieces of 1 s; onset within 0.25 s, offset within 0.25 s or half the length",
    "spotting": "SoccerNet's program, 2 steps a second, tolerances (widths of the window) of 5 to 60 s",
}
_THRESHOLDS = {"thumos": THUMOS, "thumos2014": THUMOS2014, "segmental": OVERLAPS, "spotting": TOLERANCES_S["loose"]}
_MAX_PROPOSALS = 100
_NEAR_S = 2.5
"""Seconds from a true event within which an answer is right, when spotted events are sorted by kind of error."""


def judge_segment_files(
    answers: str,
    truth: str,
    protocol: SegmentProtocol,
    *,
    subset: str = "",
    remove_doubled: bool = False,
    background: Sequence[str] = (),
    stats: bool = False,
) -> LocatedJudgement:
    """Judge a file of answers; see `read_segments`, `read_events` and `judge_segments`; `stats` counts labels too.

    Raises:
        DataError: a file cannot be read, a row is wrong, there is no truth, or the two have no video or no label in common.
    """
    if protocol == "spotting":
        events, spotted = read_events(truth), read_events(answers)
        check_common("video", events, dict.fromkeys(spotted, answers), truth)
        check_common("label", _labels(events), dict.fromkeys(_labels(spotted), answers), truth)
        return judge_events(events, spotted)
    labelled = protocol != "proposals"
    true, found = read_segments(truth, subset), read_segments(answers, subset, labelled=labelled)
    if not len(true.table):
        part = f" in the part {subset!r}" if subset else ""
        raise DataError(f"no true segment{part}", truth, "choose a part that has annotations")
    check_answers(true, found, labelled=labelled)
    judged = judge_segments(
        true.table, found.table, protocol,
        remove_doubled=remove_doubled, background=background, durations_s=true.durations_s,
    )  # fmt: skip
    sides = {"answers": found.table, "truth": true.table} if stats else {}
    return replace(judged, statistics={side: label_statistics(table.segments()) for side, table in sides.items()})


def check_answers(truth: SegmentFile, answers: SegmentFile, *, labelled: bool = True) -> None:
    """Check that answers belong to this truth. If labels count, one that the truth does not have is named in a warning.

    Raises:
        DataError: no video or no label in common, or an answer outside its video.
    """
    videos, labels = (
        dict(zip(column.tolist()[::-1], list(answers.where)[::-1], strict=True))
        for column in (answers.table.videos, answers.table.labels)
    )
    check_common("video", {*truth.table.videos.tolist(), *truth.durations_s}, videos, truth.path)
    if labelled:
        check_common("label", set(truth.table.labels.tolist()), labels, truth.path)
    for video, (start_s, end_s), where in zip(
        answers.table.videos.tolist(), answers.table.times_s.tolist(), answers.where, strict=True
    ):
        duration_s = truth.durations_s.get(video)
        if duration_s is not None and (start_s >= duration_s or end_s <= 0):
            what = f"a segment outside its video of {duration_s:g} s ({start_s:g} to {end_s:g} s)"
            raise DataError(what, where, "correct the times (are they seconds?)")


def check_common(kind: str, known: Mapping[str, object] | set[str], found: Mapping[str, str], truth: str) -> None:
    """Check that names of the answers stand in the truth. `found` has the file and the row of each name."""
    unknown = {name: where for name, where in found.items() if name not in known}
    if not unknown:
        return
    name, where = next(iter(unknown.items()))
    plain = {PurePath(one).stem: one for one in known}
    near = [plain[PurePath(name).stem]] if PurePath(name).stem in plain else nearest(name, known)
    hint = f"did you mean {near[0]!r}?" if near else f"such as {', '.join(sorted(known)[:3])}"
    if len(unknown) == len(found):
        raise DataError(f"no {kind} of the answers is in {truth}, first {name!r}", where, hint)
    more = f" and {len(unknown) - 1} other {kind}s" if len(unknown) > 1 else ""
    log.warning("%s: %s %r%s not in %s; %s", where, kind, name, more, truth, hint)


def judge_segments(
    truth: SegmentTable,
    answers: SegmentTable,
    protocol: SegmentProtocol,
    *,
    remove_doubled: bool = False,
    background: Sequence[str] = (),
    durations_s: Mapping[str, float] | None = None,
) -> LocatedJudgement:
    """Judge answered segments.

    Args:
        truth: true segments.
        answers: answered segments with scores.
        protocol: one of `CONVENTIONS`.
        remove_doubled: leave out true segments that stand twice, as OpenTAD and ActionFormer do; the official programs keep them,
            so that no answer can find the second one.
        background: segmental: labels that are left out of the edit score and F1.
        durations_s: segmental: lengths of the videos; by default, a video ends with its last true segment.

    Raises:
        DataError: there is no true segment, or, for "segmental", two segments of a video overlap.
    """
    single = truth.without_doubles()
    num_doubled = len(truth) - len(single)
    truth = single if remove_doubled else truth
    if not len(truth):
        raise DataError("there is no true segment to compare with", "", "check the part and the file of the truth")
    if protocol == "spotting":
        return judge_events(_middles(truth), _middles(answers))
    judged = _figures(truth, answers, protocol, background, durations_s or {})
    unknown = int((~np.isin(answers.labels, truth.labels)).sum())
    left_out = {"unknown label": unknown} if judged.by_class and unknown else {}
    return replace(
        judged, num_doubled=num_doubled, removed_doubled=remove_doubled, num_unknown=unknown, ignored=left_out,
        kinds=asdict(error_kinds(truth, answers)),
    )  # fmt: skip


def _figures(
    truth: SegmentTable,
    answers: SegmentTable,
    protocol: SegmentProtocol,
    background: Sequence[str],
    durations_s: Mapping[str, float],
) -> LocatedJudgement:
    mean_ap, by_class = {}, {}
    thresholds = _THRESHOLDS.get(protocol, ACTIVITYNET)
    if protocol == "proposals":
        recall = proposal_recall(truth, answers, _MAX_PROPOSALS)
        figures = {"auc": recall.area, **{f"ar_at_{n}": float(recall.average_recall[n - 1]) for n in (1, 10, 100)}}
    elif protocol == "events":
        thresholds, pieces, events = (), piece_counts(truth, answers), event_counts(truth, answers)
        figures = {"piece_error_rate": pieces.error_rate, "piece_f1": pieces.f1}
        figures |= {"event_error_rate": events.error_rate, "event_f1": events.f1}
    elif protocol == "segmental":
        figures = _segmental(truth, answers, background, durations_s)
    else:
        score = thumos2014_map if protocol == "thumos2014" else activitynet_map
        scores = score(truth, answers, thresholds)
        mean_ap = dict(zip(map(str, scores.thresholds), scores.mean_ap.tolist(), strict=True))
        figures = {"average_map": scores.average_mean_ap, **{f"map_at_{at}": value for at, value in mean_ap.items()}}
        by_class = dict(zip(scores.classes, scores.average_precision.mean(axis=1).tolist(), strict=True))
    return LocatedJudgement(
        protocol=protocol, convention=CONVENTIONS[protocol], thresholds=tuple(thresholds), figures=figures,
        mean_ap=mean_ap, by_class=by_class, num_videos=len(set(truth.videos.tolist())), num_true=len(truth),
        num_answers=len(answers),
    )  # fmt: skip


def _segmental(
    truth: SegmentTable, answers: SegmentTable, background: Sequence[str], durations_s: Mapping[str, float]
) -> dict[str, float]:
    names = {label: index for index, label in enumerate(sorted({*truth.labels.tolist(), *answers.labels.tolist()}))}
    silent = [names[label] for label in background if label in names]
    scores = segmental_scores_of_spans(_spans(truth, names), _spans(answers, names), durations_s, silent)
    figures = {"accuracy": scores.accuracy_mean, "accuracy_pooled": scores.accuracy_pooled, "edit": scores.edit_score}
    for at, by_video, pooled in zip(OVERLAPS, scores.f1_mean, scores.f1_pooled, strict=True):
        figures |= {f"f1_at_{round(100 * at)}": by_video, f"f1_at_{round(100 * at)}_pooled": pooled}
    return figures


def _spans(table: SegmentTable, names: Mapping[str, int]) -> dict[str, list[Run]]:
    """The segments of each video in order of time; those of one label that overlap are one.

    Raises:
        DataError: two of different labels overlap.
    """
    found = {}
    for video, rows in table.by_video().items():
        order = rows[np.lexsort(table.times_s[rows].T[::-1])]
        spans: list[Run] = []
        for label, (start_s, end_s) in zip(table.labels[order].tolist(), table.times_s[order].tolist(), strict=True):
            if not spans or start_s >= spans[-1][2] - 1e-6:
                spans.append((names[label], start_s, end_s))
            elif spans[-1][0] == names[label]:
                spans[-1] = (names[label], spans[-1][1], max(end_s, spans[-1][2]))
            else:
                what = (
                    f"{label} from {start_s:g} to {end_s:g} s begins before another label ends, at {spans[-1][2]:g} s"
                )
                raise DataError(what, video, "this protocol needs one label at a time; take activitynet or events")
        found[video] = spans
    return found


def judge_events(
    truth: Mapping[str, Sequence[SpottedEvent]], answers: Mapping[str, Sequence[SpottedEvent]]
) -> LocatedJudgement:
    """Judge spotted events as SoccerNet does.

    Raises:
        DataError: there is no true event.
    """
    scores = {name: spotting_map(truth, answers, TOLERANCES_S[name]) for name in ("loose", "tight", "at1", "at5")}
    loose, labels = scores["loose"], _labels(truth)
    figures = {"average_map": loose.average_map, "average_map_visible": loose.average_map_visible}
    for name in ("tight", "at1", "at5"):
        figures |= {f"{name}_average_map": scores[name].average_map}
        figures |= {f"{name}_average_map_visible": scores[name].average_map_visible}
    spotted = [event.label in labels for events in answers.values() for event in events]
    unknown = len(spotted) - sum(spotted)
    true, found = _around(truth), _around(answers)
    return LocatedJudgement(
        protocol="spotting", convention=CONVENTIONS["spotting"], thresholds=tuple(TOLERANCES_S["loose"]), figures=figures,
        by_class=dict(zip(loose.classes, loose.by_class, strict=True)),
        num_videos=sum(bool(events) for events in truth.values()), num_true=len(true), num_answers=len(spotted),
        num_unknown=unknown, ignored={"unknown label": unknown} if unknown else {},
        kinds=asdict(error_kinds(true, found, threshold=1 / 3)), kinds_at=f"within {_NEAR_S} s",
    )  # fmt: skip


def _labels(events: Mapping[str, Sequence[SpottedEvent]]) -> set[str]:
    return {event.label for several in events.values() for event in several}


def _middles(table: SegmentTable) -> dict[str, list[SpottedEvent]]:
    """Each segment as an event in its middle."""
    events: dict[str, list[SpottedEvent]] = {}
    rows = zip(table.videos.tolist(), table.labels.tolist(), table.times_s.mean(axis=1), table.scores, strict=True)
    for video, label, time_s, score in rows:
        events.setdefault(video, []).append(SpottedEvent(float(time_s), label, float(score)))
    return events


def _around(events: Mapping[str, Sequence[SpottedEvent]]) -> SegmentTable:
    """Segments around events, so long that two of them have a tIoU of 1/3 if the events are `_NEAR_S` apart."""
    rows = [(video, event) for video, several in events.items() for event in several]
    times_s = np.array([event.time_s for _, event in rows], np.float64)[:, None] + [-_NEAR_S, _NEAR_S]
    names, labels = [video for video, _ in rows], [event.label for _, event in rows]
    scores = np.array([event.score for _, event in rows], np.float64)
    return SegmentTable(np.array(names, np.str_), np.array(labels, np.str_), times_s.reshape(-1, 2), scores)
