from __future__ import annotations

import numpy as np
import pytest

from kinema.evaluation.metrics import average_precision, class_scores, mean_average_precision, weighted_counts


def test_weighted_counts_are_a_matrix_product() -> None:
    rng = np.random.default_rng(0)
    weights, table = rng.random((5, 40)), rng.random((40, 9)) < 0.1
    table[:, 4] = False
    np.testing.assert_allclose(weighted_counts(weights, table), weights @ table, atol=1e-12)
    assert weighted_counts(weights, np.zeros((40, 9), bool)).sum() == 0


def test_average_precision_is_the_mean_precision_at_the_true_ranks() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    assert average_precision(scores, np.array([True, False, True, False])) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(scores, np.zeros(4, bool)) is None


def test_average_precision_does_not_depend_on_the_order_of_the_list() -> None:
    scores = np.array([0.5, 0.9, 0.5, 0.5])
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        truth = np.array([True, False, False, True])
        assert average_precision(scores[order], truth[order]) == pytest.approx(2 / 4)


def test_a_class_without_a_true_video_does_not_count_in_the_mean() -> None:
    scores = np.array([[0.9, 0.1], [0.1, 0.9]])
    assert mean_average_precision(scores, np.array([[True, False], [False, False]])) == 1.0


def test_class_scores_are_zero_where_nothing_can_be_divided() -> None:
    table = class_scores(("a", "b", "c"), np.array([2, 0, 0]), np.array([4, 0, 1]), np.array([3, 2, 0]))
    assert [(row.label, row.n) for row in table] == [("a", 4), ("b", 0), ("c", 1)]
    assert (table[0].precision, table[0].recall, table[0].f1) == (2 / 3, 1 / 2, 4 / 7)
    assert {row.precision + row.recall + row.f1 for row in table[1:]} == {0.0}
