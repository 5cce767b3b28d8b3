"""One figure for the segments of a set of videos, by which settings are chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kinema.evaluation.framewise import count_matches, edit_score
from kinema.evaluation.located.detection import THUMOS, activitynet_map
from kinema.evaluation.located.segments import SegmentTable

if TYPE_CHECKING:
    from kinema.predictions import Segment

Videos = Mapping[str, Sequence["Segment"]]
"""Segments of each video by its name."""


def edit_and_f1(truth: Videos, answers: Videos) -> float:
    """Mean of the edit score and of F1@10, both averaged over videos (Lea et al. 2017); 0 to 1.

    It rewards the right order and number of segments more than exact borders.
    """
    return float(np.mean([_edit_and_f1(true, answers.get(video, ())) for video, true in truth.items()]))


def _edit_and_f1(true: Sequence[Segment], found: Sequence[Segment]) -> float:
    names = {label: index for index, label in enumerate(sorted({segment.label for segment in (*true, *found)}))}
    sides = [
        sorted((s.span.start_s, s.span.end_s, names[s.label]) for s in segments) for segments in (true, found)
    ]  # fmt: skip
    first, second = ([(label, start, end) for start, end, label in side] for side in sides)
    right, wrong, missed = count_matches(first, second, 0.1)
    f1 = 2 * right / (2 * right + wrong + missed) if first or second else 1.0
    return (edit_score([run[0] for run in first], [run[0] for run in second]) + f1) / 2


def mean_average_precision(truth: Videos, answers: Videos) -> float:
    """Mean of ActivityNet's mAP at a tIoU of 0.3 to 0.7, the figure of papers on THUMOS 2014; 0 to 1.

    Raises:
        DataError: there is no true segment.
    """
    return activitynet_map(SegmentTable.of(truth), SegmentTable.of(answers), THUMOS).average_mean_ap
