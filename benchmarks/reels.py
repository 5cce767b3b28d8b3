"""How well actions are found in reels of real clips, and how much of that cuts give away.

    kinema train hockey/ --model single_frame_small --resize stretch --epochs 6 --out runs/hockey
    kinema reel hockey/ --background no_fight --size 96x120 --out reels
    kinema reel hockey/ --background no_fight --size 96x120 --dissolve 0 10 --out reels_dissolved
    python benchmarks/reels.py runs/hockey reels reels_dissolved

The classifier has learned from the training clips. On a sample of the training reels the settings of way "clips" are chosen; the
validation reels are judged. Beside it stand the proposals of a plain cut detector: each shot is an action of the class with the
highest mean score in it. It knows every border of a cut exactly, and none of a dissolve. The first reels are those that settings
are chosen on; they are kept for the others, as in use.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

import kinema
from kinema.datasets.located import LocatedSet, open_located
from kinema.evaluation.located.detection import activitynet_map
from kinema.evaluation.located.segments import SegmentTable
from kinema.inference.localizer import Localizer
from kinema.inference.options import LocalizeOptions
from kinema.localization.choose import choose_grouping
from kinema.localization.grouping import GroupingOptions, group_segments
from kinema.localizations import Localization
from kinema.predictions import Prediction, Segment, Timeline
from kinema.runs.choose_settings import MEASURES
from kinema.types import TimeSpan
from kinema.video import open_video

Answers = Mapping[str, Sequence[Segment]]
_SIDE = 32
"""Frames are compared at this size."""


def find_cuts(path: str, factor: float = 6.0, least: float = 12.0) -> list[float]:
    """Borders of shots in seconds, the ends included: a frame differs from the one before `factor` times as much as usual.

    The difference is the mean of absolute differences of grey values at 32x32. "Usual" is the median of the 24 differences
    around. `least` is the smallest difference that is taken for a cut.
    """
    with open_video(path) as video:
        frames = [frame.mean(axis=2) for _, _, frame in video.iterate(size=(_SIDE, _SIDE))]
        times_s, end_s = video.times_s, video.info.duration_s
    changes = np.abs(np.diff(np.stack(frames).astype(np.float32), axis=0)).mean(axis=(1, 2))
    usual = np.array([np.median(changes[max(i - 12, 0) : i + 13]) for i in range(len(changes))])
    cuts = np.flatnonzero((changes > least) & (changes > factor * usual)) + 1
    return [0.0, *(float(times_s[index]) for index in cuts), end_s]


def label_shots(borders_s: Sequence[float], timeline: Timeline, background: Sequence[str]) -> tuple[Segment, ...]:
    """Each shot with the best mean score of a class that is an action, unless a background class is better."""
    segments = []
    for start_s, end_s in pairwise(borders_s):
        inside = (timeline.times_s >= start_s) & (timeline.times_s < end_s)
        if end_s <= start_s or not inside.any():
            continue
        means = timeline.scores[inside].mean(axis=0)
        label = timeline.labels[int(means.argmax())]
        if label not in background:
            segments.append(Segment(TimeSpan(start_s, end_s), label, float(means.max())))
    return tuple(segments)


def mean_ap(truth: LocatedSet, answers: Answers) -> float:
    """ActivityNet's mean average precision at a tIoU of 0.5."""
    true = SegmentTable.of({video.path: video.segments for video in truth.videos})
    return float(activitynet_map(true, SegmentTable.of(answers), (0.5,)).average_mean_ap)


def timelines_of(localizer: Localizer, located: LocatedSet) -> dict[str, Timeline]:
    """Dense scores of all videos."""
    found = localizer.timelines([video.path for video in located.videos], LocalizeOptions())
    return {one.path: one.timeline for one in found if isinstance(one, Prediction) and one.timeline is not None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a classifier, trained on the training clips")
    parser.add_argument("reels", nargs="+", help="folders of kinema reel; settings are chosen on the first one")
    parser.add_argument("--most", type=int, default=20, help="training reels that settings are chosen on")
    parser.add_argument("--segments", help="a network of kinema train --task segments, judged on the same reels")
    given = parser.parse_args()
    localizer = Localizer(kinema.load(given.model))
    first = open_located(given.reels[0])
    silent = [label for label in localizer.labels if label not in first.labels]
    training = first.part("train")
    training = LocatedSet(training.name, training.root, training.videos[: given.most], training.labels)
    truth = {video.path: video.segments for video in training.videos}
    began = time.perf_counter()
    grouping = choose_grouping(timelines_of(localizer, training), truth, MEASURES["map"], background=silent)
    chosen_s = time.perf_counter() - began
    for folder in given.reels:
        valid = open_located(folder).part("valid")
        tracks = timelines_of(localizer, valid)
        plain = GroupingOptions(background=tuple(silent))
        answers: dict[str, Answers] = {
            "clips, plain": {path: group_segments(track, plain) for path, track in tracks.items()},
            "clips, chosen settings": {path: group_segments(track, grouping) for path, track in tracks.items()},
            "cut detector": {path: label_shots(find_cuts(path), track, silent) for path, track in tracks.items()},
        }
        if given.segments:
            network = Localizer(kinema.load(given.segments))
            found = network.localize_many([video.path for video in valid.videos], LocalizeOptions(threshold=0.001))
            located = [one.prediction for one in found if isinstance(one, Localization)]
            answers[network.way] = {one.path: one.segments for one in located}
        rows = {name: round(mean_ap(valid, one), 4) for name, one in answers.items()}
        print(json.dumps({"reels": folder, "videos": len(valid), "map_at_0.5": rows, "chosen_s": round(chosen_s)}))
    print(json.dumps(grouping.to_json()))


if __name__ == "__main__":
    main()
