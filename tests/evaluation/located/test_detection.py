"""Temporal mAP in the conventions of ActivityNet and THUMOS 2014, on cases computed by hand."""

import json

import numpy as np
import pytest

from kinema.errors import DataError
from kinema.evaluation.located.detection import THUMOS, activitynet_map, thumos2014_map
from kinema.evaluation.located.segments import SegmentTable

TWO = [("v", "a", 0, 10), ("v", "a", 20, 30)]


def table(rows) -> SegmentTable:
    """Rows of video, label, start, end and, for predictions, a score."""
    times = np.array([row[2:4] for row in rows], float).reshape(-1, 2)
    scores = np.array([row[4] if len(row) > 4 else 1 for row in rows], float)
    return SegmentTable(np.array([r[0] for r in rows], str), np.array([r[1] for r in rows], str), times, scores)


@pytest.mark.parametrize(
    ("truth", "predictions", "activitynet", "thumos"),
    [
        # Precision after each prediction is 1, 1/2, 2/3. THUMOS takes the precision at the hits: (1 + 2/3) / 2.
        (TWO, [("v", "a", 0, 10, 0.9), ("v", "a", 40, 50, 0.8), ("v", "a", 20, 30, 0.7)], 5 / 6, 5 / 6),
        # Precision is 0, 1/2, 2/3; at both recalls the largest one at this or a higher recall is 2/3.
        (TWO, [("v", "a", 40, 50, 0.9), ("v", "a", 0, 10, 0.8), ("v", "a", 20, 30, 0.7)], 2 / 3, (1 / 2 + 2 / 3) / 2),
        # tIoU 0.5 is enough for ActivityNet only.
        (TWO[:1], [("v", "a", 0, 5, 0.9)], 1, 0),
        # Both overlap the true segment: ActivityNet's best score is a hit; THUMOS takes the better overlap.
        (TWO[:1], [("v", "a", 0, 9, 0.9), ("v", "a", 0, 10, 0.8)], 1, 1 / 2),
        # A prediction in a video without truth of the class, and none at all.
        (TWO[:1], [("w", "a", 0, 10, 0.9), ("v", "a", 0, 10, 0.8)], 1 / 2, 1 / 2),
        (TWO, [], 0, 0),
        # The better true segment is taken; the second has tIoU 9/11.
        ([("v", "a", 0, 10), ("v", "a", 1, 11)], [("v", "a", 0, 10, 0.9), ("v", "a", 0, 10, 0.8)], 1, 1),
    ],
)  # fmt: skip
def test_average_precision_at_half(truth, predictions, activitynet, thumos):
    for score, expected in ((activitynet_map, activitynet), (thumos2014_map, thumos)):
        assert score(table(truth), table(predictions), [0.5]).average_mean_ap == pytest.approx(expected)


def test_a_class_without_predictions_counts_as_zero_and_an_unknown_class_not_at_all():
    scores = activitynet_map(
        table([*TWO, ("v", "b", 0, 1)]), table([(*row, 0.9) for row in TWO] + [("v", "c", 0, 1, 1)])
    )
    assert scores.classes == ("a", "b")
    assert scores.mean_ap == pytest.approx(np.full(10, 0.5))


def test_a_higher_threshold_is_never_easier():
    rng = np.random.default_rng(0)
    starts = rng.uniform(0, 100, 60)
    true = [("v", "ab"[row % 2], start, start + 5) for row, start in enumerate(starts)]
    found = [
        (*row[:2], row[2] + shift, row[3] + shift, score)
        for row, shift, score in zip(true, rng.normal(0, 2, 60), rng.random(60), strict=True)
    ]
    for score in (activitynet_map, thumos2014_map):
        means = score(table(true), table(found), THUMOS).mean_ap
        assert (np.diff(means) <= 1e-12).all()
        assert means[0] > 0.2


def test_no_truth_is_an_error():
    with pytest.raises(DataError, match="no true segment"):
        activitynet_map(table([]), table([("v", "a", 0, 1, 1)]))


@pytest.mark.real_data
def test_the_official_programs_give_the_same(real_data):
    folder = real_data.parent / "golden/where"
    truth = json.loads((folder / "time_truth.json").read_text())["database"]
    answers = json.loads((folder / "time_pred.json").read_text())["results"]
    expected = json.loads((folder / "time_expected.json").read_text())
    true = table([(v, row["label"], *row["segment"]) for v, video in truth.items() for row in video["annotations"]])
    found = table([(v, row["label"], *row["segment"], row["score"]) for v, rows in answers.items() for row in rows])
    scores = activitynet_map(true, found)
    assert scores.mean_ap == pytest.approx(np.array(expected["activitynet_0.50:0.05:0.95"]["mAP"]), abs=1e-6)
    official = expected["thumos2014_matlab_style_strict_greater_non_interpolated"]
    assert thumos2014_map(true, found).mean_ap == pytest.approx(np.array(list(official.values())), abs=1e-6)
