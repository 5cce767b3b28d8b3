"""Figures of labelled boxes: AVA's frame mAP, classes, mistakes, and text forms."""

from __future__ import annotations

import numpy as np
import pytest

from kinema.errors import DataError
from kinema.evaluation.judgement import Failed
from kinema.evaluation.located.box_result import BoxVideo, evaluate_boxes
from kinema.evaluation.located.boxes import BoxTable
from kinema.labels import Labels

LEFT, RIGHT = (0.1, 0.1, 0.4, 0.9), (0.6, 0.1, 0.9, 0.9)
LABELS = Labels(("walk", "wave", "jump"))


def table(*rows: tuple[str, str, tuple[float, ...], float]) -> BoxTable:
    frames, labels, boxes, scores = zip(*rows, strict=True) if rows else ((), (), (), ())
    return BoxTable(
        np.array(frames, np.str_), np.array(labels, np.str_), np.array(boxes, np.float64).reshape(-1, 4),
        np.array(scores, np.float64),
    )  # fmt: skip


TRUTH = table(("a1", "walk", LEFT, 1), ("a1", "wave", LEFT, 1), ("a1", "wave", RIGHT, 1))


def test_right_answers_are_worth_one_and_wrong_ones_are_named():
    right = table(
        ("a1", "walk", LEFT, 0.9), ("a1", "wave", LEFT, 0.8), ("a1", "wave", RIGHT, 0.7), ("a1", "walk", RIGHT, 0.1)
    )
    found = evaluate_boxes([BoxVideo("a", ("a1",), TRUTH, right, losses=3.0, num_boxes=2)], LABELS)
    assert found["frame_map_at_0.5"] == 1.0
    assert [(row.label, row.n, row.f1) for row in found.classes] == [
        ("walk", 1, 1.0),
        ("wave", 2, 1.0),
        ("jump", 0, 0.0),
    ]
    assert found["macro_f1"] == 1.0
    assert found.loss == 1.5
    assert found.mistakes() == []
    assert "true boxes" in found.views


def test_answers_where_nobody_is_are_wrong():
    answers = table(("a2", "walk", LEFT, 0.95), ("a1", "walk", LEFT, 0.9), ("a1", "wave", LEFT, 0.8))
    found = evaluate_boxes(
        [BoxVideo("a", ("a1", "a2"), TRUTH, answers)], LABELS, [Failed("b", "broken")], detected=True
    )
    assert found["frame_map_at_0.5"] == pytest.approx((0.5 + 0.5) / 2)
    (worst,) = found.mistakes()
    assert (worst.key, worst.true, worst.predicted, worst.score) == ("a2", (), "walk", 0.95)
    document = found.to_json()
    assert (document["num_key_frames"], document["num_failed"]) == (2, 1)
    assert "detected boxes" in str(document["protocol"])
    rows = found.videos_csv().splitlines()
    assert len(rows) == 1 + 3 + 3 + 1
    assert rows[-1].startswith("b,")


def test_nothing_to_judge_is_an_error():
    with pytest.raises(DataError, match="not one video"):
        evaluate_boxes([], LABELS, [Failed("b", "broken")])
    with pytest.raises(DataError, match="no true box"):
        evaluate_boxes([BoxVideo("a", ("a1",), table(), table())], LABELS)
