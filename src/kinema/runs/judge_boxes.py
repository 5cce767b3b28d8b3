"""Judge boxes of actions, tubes and tracks in files by the protocol of a benchmark."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kinema.errors import DataError, UsageError
from kinema.evaluation.located.boxes import MAX_ANSWERS, ava_map
from kinema.evaluation.located.tracking import tracking_scores
from kinema.evaluation.located.tubes import THRESHOLDS, tube_scores
from kinema.runs.box_files import BoxFile, read_boxes, read_excluded, read_label_map, read_tracks, read_tubes
from kinema.runs.judge_segments import check_common
from kinema.runs.located_judgement import LocatedJudgement

if TYPE_CHECKING:
    from kinema.choices import BoxProtocol, TubeConvention
    from kinema.evaluation.located.tracking import TrackingScores

CONVENTIONS: Mapping[BoxProtocol, str] = {
    "ava": f"AVA's program, IoU at least 0.5, the {MAX_ANSWERS} best answers of a key frame over all classes",
    "video-map": "MultiSports' program, tube IoU at least 0.2, 0.5, 0.75 and 0.5 to 0.95",
    "mot": "CLEAR MOT and IDF1 as py-motmetrics, IoU at least 0.5",
}
TUBE_CONVENTIONS: Mapping[TubeConvention, str] = {
    "plus-one": "a frame and a pixel more than the difference of the ends (ACT, YOWO)",
    "multisports": "the difference of first and last frame and of the sides (MultiSports, mmaction2)",
    "exact": "a frame more than the difference of the ends, and no pixel",
}


def judge_box_files(
    answers: str,
    truth: str,
    protocol: BoxProtocol,
    *,
    convention: TubeConvention = "plus-one",
    label_map: str | None = None,
    excluded: str | None = None,
) -> LocatedJudgement:
    """Judge a file of answers.

    Args:
        answers: file of the answers; see `kinema.runs.box_files`. For mot, a folder has a file for each video.
        truth: file, or folder, of the truth.
        protocol: one of `CONVENTIONS`.
        convention: video-map: how frames and pixels are counted, one of `TUBE_CONVENTIONS`.
        label_map: ava: file with the names of the judged classes by their numbers; by default the classes of the truth.
        excluded: ava: file of key frames that are not judged.

    Raises:
        DataError: a file cannot be read, a row is wrong, there is no truth, or the two have no video or no label in common.
        UsageError: an argument of another protocol.
    """
    if protocol != "ava" and (label_map or excluded):
        raise UsageError("a label map and excluded key frames are for the protocol ava", label_map or excluded or "")
    if protocol == "video-map":
        return _judge_tubes(answers, truth, convention)
    if protocol == "mot":
        return _judge_tracks(answers, truth)
    names = read_label_map(label_map) if label_map else None
    true, found = read_boxes(truth, names, scored=False), read_boxes(answers, names)
    return _judge_boxes(true, found, names, read_excluded(excluded) if excluded else (), label_map or truth)


def _judge_boxes(
    truth: BoxFile, answers: BoxFile, names: Mapping[str, str] | None, excluded: Collection[str], classes_in: str
) -> LocatedJudgement:
    classes = sorted(set(truth.table.labels.tolist())) if names is None else list(dict.fromkeys(names.values()))
    if not len(truth.table):
        raise DataError("there is no true box to compare with", truth.path, "check the part and the file of the truth")
    first_row = dict(zip(answers.table.labels.tolist()[::-1], list(answers.where)[::-1], strict=True))
    check_common("label", set(classes), first_row, classes_in)
    _check_key_frames(truth, answers)
    scores = ava_map(truth.table, answers.table, classes, key_frames=truth.frames, excluded=excluded)
    by_class = dict(zip(scores.classes, scores.average_precision, strict=True))
    rows = list(zip(truth.table.frames, truth.table.labels, map(tuple, truth.table.boxes.tolist()), strict=True))
    left_out = {
        f"beyond the {MAX_ANSWERS} best of a key frame": scores.num_over_limit, "unknown label": scores.num_unknown,
        "at a key frame that the truth does not list": scores.num_unlisted,
        "truth of a class that is not judged": int((~np.isin(truth.table.labels, classes)).sum()),
        "truth at an excluded key frame": int(np.isin(truth.table.frames, list(excluded)).sum()),
    }  # fmt: skip
    return LocatedJudgement(
        protocol="ava", convention=CONVENTIONS["ava"], thresholds=(0.5,), figures={"average_map": scores.mean_ap},
        mean_ap={"0.5": scores.mean_ap},
        by_class={label: value for label, value in by_class.items() if not math.isnan(value)},
        num_videos=len(truth.key_frames), num_true=len(truth.table), num_doubled=len(rows) - len(set(rows)),
        num_answers=len(answers.table), num_unknown=scores.num_unknown,
        ignored={reason: count for reason, count in left_out.items() if count},
        kinds=asdict(scores.kinds), kinds_at="at IoU 0.5",
    )  # fmt: skip


def _check_key_frames(truth: BoxFile, answers: BoxFile) -> None:
    """Check that answers are at key frames of the truth.

    Raises:
        DataError: a video of both has no key frame in common, such as for time stamps that count from another time.
    """
    if not len(answers.table):
        return
    shared = truth.key_frames.keys() & answers.key_frames.keys()
    if not shared:
        check_common("video", set(truth.key_frames), dict.fromkeys(answers.key_frames, answers.path), truth.path)
    apart = sorted(video for video in shared if not truth.key_frames[video] & answers.key_frames[video])
    if apart:
        true, found = (min(side.key_frames[apart[0]]) for side in (truth, answers))
        do = f"write the times of the video file in both; {true - found:g} s may have to be added"
        what = f"no time stamp is in the truth: from {found:g} s on, the truth from {true:g} s on"
        raise DataError(what, f"{answers.path}: {apart[0]}", do)


def _judge_tubes(answers: str, truth: str, convention: TubeConvention) -> LocatedJudgement:
    true, found = read_tubes(truth, "truth"), read_tubes(answers, "predictions")
    labels = {tube.label for tube in true}
    if true:
        check_common("video", {tube.video for tube in true}, dict.fromkeys((t.video for t in found), answers), truth)
        check_common("label", labels, dict.fromkeys((tube.label for tube in found), answers), truth)
    scores = tube_scores(true, found, convention=convention)
    mean_ap = {str(at): value for at, value in scores.mean_ap.items()}
    places = [place for place, at in enumerate(scores.thresholds) if at in THRESHOLDS[3:]]
    figures = {f"map_at_{at}": mean_ap[at] for at in ("0.2", "0.5", "0.75")}
    figures |= {"average_map": float(np.mean([scores.mean_ap[at] for at in THRESHOLDS[3:]]))}
    unknown = sum(tube.label not in labels for tube in found)
    rows = [(tube.video, tube.label, tube.first_frame, tube.boxes.tobytes()) for tube in true]
    by_class = scores.average_precision[:, places].mean(axis=1).tolist()
    return LocatedJudgement(
        protocol="video-map", convention=f"{CONVENTIONS['video-map']}; {convention}: {TUBE_CONVENTIONS[convention]}",
        thresholds=tuple(sorted(set(THRESHOLDS))), figures=figures, mean_ap=mean_ap,
        by_class=dict(zip(scores.classes, by_class, strict=True)), num_videos=len({tube.video for tube in true}),
        num_true=len(true), num_doubled=len(rows) - len(set(rows)), num_answers=len(found), num_unknown=unknown,
        ignored={"unknown label": unknown} if unknown else {}, kinds=asdict(scores.kinds), kinds_at="at tube IoU 0.5",
    )  # fmt: skip


def _judge_tracks(answers: str, truth: str) -> LocatedJudgement:
    scores: dict[str, TrackingScores] = {}
    ignored = 0
    for video, true_file, answer_file in _pairs(Path(truth), Path(answers)):
        (true, left_out), (found, _) = read_tracks(str(true_file), truth=True), read_tracks(str(answer_file))
        ignored += left_out
        if not true:
            raise DataError("there is no true box to compare with", true_file, "check the file of the truth")
        scores[video] = tracking_scores(true, found)
    total = reduce(add, scores.values())
    names = ("mota", "idf1", "motp", "recall", "precision")
    figures = {name: float(getattr(total, name)) for name in names}
    figures |= {f"{name}_{figure}": float(getattr(one, figure)) for name, one in scores.items()
                for figure in names[:2] if len(scores) > 1}  # fmt: skip
    missed, false = total.num_true - total.num_matches, total.num_answers - total.num_matches
    kinds = {
        "right": total.num_matches, "missed": missed, "background": false, "identity_switches": total.switches,
        "fragmentations": total.fragmentations, "tracks": total.num_tracks, "mostly_tracked": total.mostly_tracked,
        "mostly_lost": total.mostly_lost,
    }  # fmt: skip
    return LocatedJudgement(
        protocol="mot", convention=CONVENTIONS["mot"], thresholds=(0.5,), figures=figures, num_videos=len(scores),
        num_true=total.num_true, num_answers=total.num_answers,
        ignored={"truth with a confidence of 0": ignored} if ignored else {}, kinds=kinds, kinds_at="at IoU 0.5",
    )  # fmt: skip


def _pairs(truth: Path, answers: Path) -> Iterator[tuple[str, Path, Path]]:
    """The name, the truth and the answers of each video; of one file, or of folders in the layouts of MOTChallenge.

    Raises:
        DataError: a video has no answers.
    """
    if not truth.is_dir():
        yield truth.stem, truth, answers
        return
    files = {path.stem: path for path in sorted(truth.glob("*.txt"))}
    files |= {
        path.parents[len(path.relative_to(truth).parts) - 2].name: path for path in sorted(truth.glob("*/**/gt.txt"))
    }
    if not files:
        raise DataError("no truth in this folder", truth, "give NAME.txt, or NAME/gt/gt.txt, for each video")
    for name, path in files.items():
        found: Sequence[Path] = [answers / f"{name}.txt", *sorted((answers / name).glob("*.txt"))]
        there = next((one for one in found if one.is_file() and one != path and one.name != "gt.txt"), None)
        if there is None:
            raise DataError(
                f"no answers for the video {name!r}", answers, f"give {name}.txt, empty if nothing was found"
            )
        yield name, path, there
