"""Kinds of error of located segments."""

from dataclasses import asdict

import numpy as np

from kinema.evaluation.located.error_kinds import error_kinds
from kinema.evaluation.located.segments import SegmentTable


def table(*rows) -> SegmentTable:
    times = np.array([row[1:3] for row in rows], float).reshape(-1, 2)
    scores = np.array([row[3] if len(row) > 3 else 1 for row in rows], float)
    return SegmentTable(np.full(len(rows), "v"), np.array([row[0] for row in rows], str), times, scores)


def test_each_kind_once():
    truth = table(("a", 0, 10), ("b", 20, 30), ("a", 40, 50), ("b", 60, 70))
    answers = table(
        ("a", 0, 10, 0.9),  # right
        ("a", 1, 10, 0.8),  # doubled
        ("a", 20, 30, 0.7),  # another class
        ("a", 46, 56, 0.6),  # tIoU 4/16
        ("a", 66, 76, 0.5),  # another class, tIoU 4/16
        ("c", 80, 90, 0.4),  # nothing there
    )
    expected = {"right": 1, "doubled": 1, "wrong_label": 1, "border": 1, "label_and_border": 1, "background": 1}
    assert asdict(error_kinds(truth, answers)) == {**expected, "missed": 3}


def test_no_answers():
    assert error_kinds(table(("a", 0, 10)), table()).missed == 1
