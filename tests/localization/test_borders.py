from __future__ import annotations

import numpy as np
import pytest

from kinema.localization.grouping import GroupingOptions, group_segments
from kinema.predictions import Timeline

BORDERS_S = (3.07, 7.31)


def _timeline(step_s: float, labels: tuple[str, ...] = ("rest", "wave"), length_s: float = 10.0) -> Timeline:
    """Scores of a network whose clips are 2 s long: they rise and fall in straight lines around the borders."""
    times_s = np.arange(1.0, length_s - 1 + 1e-9, step_s)
    inside = np.clip((np.minimum(times_s - BORDERS_S[0], BORDERS_S[1] - times_s) + 1) / 2, 0, 1)
    scores = np.stack([1 - inside, inside], axis=1).astype(np.float32)
    return Timeline(scores, times_s, np.stack([times_s - 1, times_s + 1], axis=1), labels, scores)


@pytest.mark.parametrize("step_s", [0.1, 0.25, 0.5])
@pytest.mark.parametrize(
    "options",
    [
        GroupingOptions(),
        GroupingOptions(background=("rest",)),
        GroupingOptions(method="viterbi", change_cost=0.05),
        GroupingOptions(method="hysteresis", background=("rest",)),
        GroupingOptions(method="watershed", enter=0.5, leave=0.0, levels=(0.5,), background=("rest",)),
    ],
)
def test_borders_do_not_depend_on_the_distance_of_the_scores(step_s, options) -> None:
    (found,) = [one for one in group_segments(_timeline(step_s), options, refine=True) if one.label == "wave"]
    assert (found.span.start_s, found.span.end_s) == pytest.approx(BORDERS_S, abs=0.02)


def test_segments_touch_and_cover_the_video() -> None:
    found = group_segments(_timeline(0.5), GroupingOptions(), refine=True)
    assert [one.label for one in found] == ["rest", "wave", "rest"]
    assert found[0].span.start_s == 0
    assert found[0].span.end_s == found[1].span.start_s
    assert found[1].span.end_s == found[2].span.start_s


def test_below_the_least_score_is_nothing_from_where_the_score_falls_below_it() -> None:
    (found,) = [
        one
        for one in group_segments(_timeline(0.5), GroupingOptions(least_score=0.75), refine=True)
        if one.label == "wave"
    ]
    assert (found.span.start_s, found.span.end_s) == pytest.approx((BORDERS_S[0] + 0.5, BORDERS_S[1] - 0.5), abs=0.02)


def test_borders_where_no_scores_cross_stay_in_the_middle() -> None:
    timeline = _timeline(1.0)
    options = GroupingOptions(method="viterbi", change_cost=100.0)
    assert len(group_segments(timeline, options, refine=True)) == 1
