"""Average mAP of spotted events."""

import itertools

import pytest

from kinema.errors import DataError
from kinema.evaluation.located.spotting import TOLERANCES_S, SpottedEvent, spotting_map

TRUTH = {"half": [SpottedEvent(10, "a"), SpottedEvent(20, "a", visible=False), SpottedEvent(40, "b")]}


def test_right_answers_within_half_the_tolerance():
    answers = {"half": [SpottedEvent(12, "a", 0.9), SpottedEvent(20, "a", 0.8), SpottedEvent(40, "b", 0.7)]}
    # At a width of 5 s the answer 2 s away is right, at 3 s it is wrong and ranks above the right one.
    # There recall 0.5 has precision 1/2: six of the eleven recall levels.
    assert spotting_map(TRUTH, answers, [5]).by_class == pytest.approx((1, 1))
    assert spotting_map(TRUTH, answers, [3]).by_class == pytest.approx((6 / 11 / 2, 1))


def test_average_over_tolerances_is_the_area_of_the_curve():
    answers = {"half": [SpottedEvent(12, "a", 0.9), SpottedEvent(20, "a", 0.8), SpottedEvent(40, "b", 0.7)]}
    curve = [spotting_map(TRUTH, answers, [tolerance]).by_class[0] for tolerance in TOLERANCES_S["tight"]]
    area = sum((a + b) / 2 for a, b in itertools.pairwise(curve)) / 4
    assert spotting_map(TRUTH, answers, TOLERANCES_S["tight"]).by_class[0] == pytest.approx(area)


def test_visible_figures_leave_out_what_is_not_shown():
    answers = {"half": [SpottedEvent(20, "a", 0.9), SpottedEvent(10, "a", 0.8), SpottedEvent(40, "b", 0.7)]}
    only_hidden = {"half": [SpottedEvent(20, "a", 0.9), SpottedEvent(40, "b", 0.7)]}
    assert spotting_map(TRUTH, answers, [2]).by_class_visible == pytest.approx((1, 1))
    assert spotting_map(TRUTH, only_hidden, [2]).by_class_visible == pytest.approx((0, 1))
    assert spotting_map(TRUTH, only_hidden, [2]).by_class == pytest.approx((6 / 11, 1))


def test_of_two_near_answers_the_higher_score_is_taken():
    answers = {"half": [SpottedEvent(9, "a", 0.3), SpottedEvent(10, "a", 0.9), SpottedEvent(20, "a", 0.8)]}
    assert spotting_map(TRUTH, answers, [5], classes=["a"]).average_map == pytest.approx(1)


def test_classes_without_answers_and_no_truth():
    assert spotting_map(TRUTH, {}, [5]).average_map == 0
    with pytest.raises(DataError, match="no true event"):
        spotting_map({"half": []}, TRUTH, [5])
