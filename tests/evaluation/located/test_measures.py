"""Single figures of the segments of a set of videos."""

import pytest

from kinema.evaluation.located.measures import edit_and_f1, mean_average_precision
from kinema.predictions import Segment
from kinema.types import TimeSpan


def segments(*rows: tuple[float, float, str]) -> list[Segment]:
    return [Segment(TimeSpan(start, end), label, 1.0) for start, end, label in rows]


TRUTH = {"v": segments((0, 10, "a"), (10, 20, "b")), "w": []}


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (TRUTH, 1.0),
        # In v: edit 1/2, F1 = 2 / 3. In w, nothing is right.
        ({"v": segments((0, 10, "a"))}, ((1 / 2 + 2 / 3) / 2 + 1) / 2),
        ({"v": segments((10, 20, "b"), (0, 10, "a")), "w": segments((0, 1, "a"))}, 0.5),
        ({}, 0.5),
    ],
)  # fmt: skip
def test_edit_and_f1(answers, expected):
    assert edit_and_f1(TRUTH, answers) == pytest.approx(expected)


def test_mean_average_precision_is_that_of_thumos():
    assert mean_average_precision(TRUTH, {"v": segments((0, 10, "a"), (10, 15, "b"))}) == pytest.approx((1 + 3 / 5) / 2)
