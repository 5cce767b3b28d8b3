"""Segments from scores: each method on timelines drawn by hand."""

import json

import numpy as np
import pytest

from kinema.localization.grouping import GroupingOptions, GroupingOrigin, group_segments
from kinema.predictions import Timeline


def timeline(rows, labels="ab", step_s=1.0) -> Timeline:
    """Scores [n classes]; each prediction stands for `step_s` seconds."""
    scores = np.array(rows, np.float32)
    edges = np.arange(len(scores) + 1) * step_s
    spans = np.stack([edges[:-1], edges[1:]], axis=1)
    return Timeline(scores, spans.mean(axis=1), spans, tuple(labels), scores)


def of_a(*scores: float, step_s: float = 1.0) -> Timeline:
    """Scores of class a; b has the rest."""
    return timeline([(score, 1 - score) for score in scores], step_s=step_s)


def found(track: Timeline, **options) -> list[tuple[float, float, str]]:
    segments = group_segments(track, GroupingOptions(**options))
    return [(round(s.span.start_s, 6), round(s.span.end_s, 6), s.label) for s in segments]


FLICKER = of_a(0.9, 0.9, 0.4, 0.9, 0.9, 0.1, 0.1, 0.1)


def test_argmax_takes_the_best_label_at_each_time():
    assert found(FLICKER) == [(0, 2, "a"), (2, 3, "b"), (3, 5, "a"), (5, 8, "b")]
    assert found(FLICKER, background=("b",), largest_gap_s=1) == [(0, 5, "a")]
    assert found(FLICKER, shortest_s=2) == [(0, 5, "a"), (5, 8, "b")]


def test_a_cost_of_changes_bridges_a_mistake_and_keeps_the_border():
    assert found(FLICKER, method="viterbi", change_cost=1.0) == [(0, 5, "a"), (5, 8, "b")]
    assert found(FLICKER, method="viterbi", change_cost=100.0) == [(0, 8, "a")]
    assert found(FLICKER, method="viterbi") == found(FLICKER)


@pytest.mark.parametrize("step_s", [0.25, 0.5, 1.0])
def test_settings_in_seconds_do_not_depend_on_the_distance_of_predictions(step_s):
    dense = of_a(*np.repeat([0.9, 0.45, 0.9, 0.1], (np.array([8, 2, 8, 8]) / step_s).astype(int)), step_s=step_s)
    assert found(dense, method="viterbi", change_cost=2.0) == [(0, 18, "a"), (18, 26, "b")]
    assert found(dense, smoothing_s=1.5) == [(0, 18, "a"), (18, 26, "b")]


def test_viterbi_finds_what_the_search_over_all_sequences_finds():
    rng = np.random.default_rng(0)
    for _ in range(20):
        margins, costs = rng.normal(size=(6, 3)), rng.random((3, 3)) * 2
        np.fill_diagonal(costs, 0)
        sequences = np.stack(np.meshgrid(*[range(3)] * 6, indexing="ij"), -1).reshape(-1, 6)
        values = margins[np.arange(6), sequences].sum(axis=1)
        values -= 0.7 * costs[sequences[:, :-1], sequences[:, 1:]].sum(axis=1)
        options = {"method": "viterbi", "scores": "margin", "change_cost": 0.7, "transitions": tuple(map(tuple, costs))}
        segments = found(timeline(margins, "abc"), **options)
        best = ["abc"[k] for k in sequences[values.argmax()]]
        assert [name for a, b, name in segments for _ in range(int(b - a))] == best


def test_times_without_a_good_score_belong_to_no_segment():
    unsure = timeline([(0.6, 0.4), (0.3, 0.2), (0.3, 0.2), (0.1, 0.9)])
    assert found(unsure, least_score=0.5) == [(0, 1, "a"), (3, 4, "b")]
    assert found(unsure, least_score=0.5, method="viterbi", change_cost=0.1) == [(0, 1, "a"), (3, 4, "b")]
    for method in ("argmax", "viterbi", "hysteresis", "watershed"):
        assert found(unsure, method=method, least_score=0.95, enter=0.95, leave=0.95, change_cost=0.1) == []


def test_hysteresis_begins_at_one_threshold_and_ends_at_another():
    track = of_a(0.1, 0.4, 0.8, 0.4, 0.4, 0.1, 0.4, 0.1)
    options = {"method": "hysteresis", "enter": 0.7, "leave": 0.3, "background": ("b",)}
    assert found(track, **options) == [(1, 5, "a")]
    assert found(track, **options | {"by_class": {"a": (0.4, 0.3)}}) == [(1, 5, "a"), (6, 7, "a")]
    assert found(track, **options | {"by_class": {"a": (0.4, 0.3)}, "largest_gap_s": 1}) == [(1, 7, "a")]


def test_classes_of_a_sigmoid_overlap():
    track = timeline([(0.1, 0.9), (0.9, 0.9), (0.9, 0.1), (0.1, 0.1)])
    assert found(track, method="hysteresis", scores="sigmoid") == [(0, 2, "b"), (1, 3, "a")]


def test_watershed_divides_two_peaks_and_finds_low_ones():
    track = of_a(0.0, 0.5, 0.9, 0.5, 0.4, 0.5, 0.8, 0.5, 0.0, 0.2, 0.0)
    options = {"method": "watershed", "enter": 0.15, "leave": 0.0, "levels": (0.55,), "background": ("b",)}
    assert found(track, **options) == [(1, 4, "a"), (5, 8, "a"), (9, 10, "a")]
    assert found(track, **options | {"levels": (0.3,)}) == [(1, 8, "a"), (9, 10, "a")]
    both = found(track, **options | {"levels": (0.3, 0.55)})
    assert both.count((1, 8, "a")) == 1
    assert (1, 4, "a") in both
    best = found(track, **options | {"levels": (0.3, 0.55), "nms_tiou": 0.3})
    assert best == found(track, **options)  # the mean score of narrow segments is higher


def test_a_slope_beside_a_peak_is_no_peak():
    assert found(of_a(0.9, 0.5, 0.4, 0.3), method="watershed", enter=0.2, leave=0.0, levels=(0.6,), background=("b",)) == [
        (0, 1, "a")
    ]  # fmt: skip


def test_scores_before_the_rolling_average_count():
    track = Timeline(np.full((2, 2), 0.5, np.float32), np.array([0.5, 1.5]), np.array([[0, 1], [1, 2]], float),
                     ("a", "b"), np.array([[1, 0], [1, 0]], np.float32))  # fmt: skip
    assert group_segments(track, GroupingOptions())[0].score == 1


def test_a_card_keeps_every_setting():
    options = GroupingOptions(
        method="viterbi", scores="margin", smoothing_s=0.5, least_score=-1.5, change_cost=2, transitions=((0, 1), (2, 0)),
        by_class={"a": (0.5, 0.25)}, levels=(0.1, 0.9), background=("b",), origin=GroupingOrigin("f1", 3, 0.5, 0.25, 9),
    )  # fmt: skip
    assert GroupingOptions.from_json(json.loads(json.dumps(options.to_json()))) == options
    with pytest.raises(KeyError, match="depth"):
        GroupingOptions.from_json({"depth": 1})


@pytest.mark.parametrize(
    "bad",
    [{"method": "magic"}, {"smoothing_s": -1}, {"nms_tiou": 2}, {"levels": ()}, {"enter": 0.2, "leave": 0.4},
     {"change_cost": float("nan")}, {"transitions": ((1.0,), (1.0,))}],
)  # fmt: skip
def test_impossible_settings(bad):
    with pytest.raises(ValueError, match=r"\w"):
        GroupingOptions(**bad)


def test_transitions_of_other_labels():
    with pytest.raises(ValueError, match="transitions are for 1 labels"):
        group_segments(FLICKER, GroupingOptions(method="viterbi", change_cost=1, transitions=((0.0,),)))


def test_a_timeline_without_rows_or_with_one():
    assert group_segments(FLICKER.__class__(np.zeros((0, 2), np.float32), np.zeros(0), np.zeros((0, 2)), ("a", "b"),
                                            np.zeros((0, 2), np.float32)), GroupingOptions()) == ()  # fmt: skip
    for method in ("argmax", "viterbi", "hysteresis", "watershed"):
        assert found(of_a(0.9), method=method, change_cost=1, smoothing_s=1) == [(0, 1, "a")]
