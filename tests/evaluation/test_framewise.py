"""Figures of frame-wise labels, against numbers worked out by hand."""

import numpy as np
import pytest

from kinema.errors import KinemaError
from kinema.evaluation.framewise import FrameScores, count_matches, edit_score, runs_of


def test_stretches_of_one_class_become_runs():
    assert runs_of(np.array([1, 1, 0, 2, 2])) == [(1, 0, 2), (0, 2, 3), (2, 3, 5)]
    assert runs_of(np.array([1, 1, 0, 2, 2]), background=2) == [(1, 0, 2), (0, 2, 3)]
    assert runs_of(np.array([], dtype=np.int64)) == []


def test_edit_score_counts_what_has_to_change_in_the_order_of_segments():
    assert edit_score([0, 1, 0], [0, 1, 0]) == 1.0
    assert edit_score([0, 1, 0], [0, 0]) == pytest.approx(1 - 1 / 3)  # one removed
    assert edit_score([0, 1], [1, 0]) == pytest.approx(1 - 2 / 2)  # both exchanged
    assert edit_score([0, 1], [0, 1, 0, 1, 0]) == pytest.approx(1 - 3 / 5)  # flicker costs
    assert edit_score([], []) == 1.0
    assert edit_score([0], []) == 0.0


def test_a_segment_is_found_where_it_overlaps_a_true_one_of_its_label_enough():
    true = [(0, 0, 10), (1, 10, 20)]
    predicted = [(0, 0, 5), (1, 5, 20)]  # 5 of 10, and 10 of 15
    assert count_matches(true, predicted, 0.5) == (2, 0, 0)
    assert count_matches(true, predicted, 0.6) == (1, 1, 1)
    assert count_matches(true, [(1, 0, 10)], 0.1) == (0, 1, 2)  # the right time, the wrong label
    assert count_matches(true, [(0, 0, 5), (0, 5, 10)], 0.5) == (1, 1, 1)  # a true one is found once
    assert count_matches([], [(0, 0, 5)], 0.1) == (0, 1, 0)
    assert count_matches(true, [], 0.1) == (0, 0, 2)


def test_scores_that_cannot_be_used_are_an_error():
    with pytest.raises(KinemaError, match="not numbers"):
        FrameScores("a.mp4", np.array([0]), np.full((1, 2), np.nan, np.float32))
    with pytest.raises(ValueError, match="one target for each frame"):
        FrameScores("a.mp4", np.array([0, 1]), np.ones((1, 2), np.float32))
