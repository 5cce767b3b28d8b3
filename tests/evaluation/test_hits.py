from __future__ import annotations

import numpy as np

from kinema.evaluation.hits import best_classes, hits_at, truth_table


def test_of_equal_scores_the_lower_index_ranks_first() -> None:
    scores = np.array([[0.2, 0.4, 0.4, 0.0]], dtype=np.float32)
    assert best_classes(scores, 3).tolist() == [[1, 2, 0]]
    assert hits_at(scores, truth_table([(1,)], 4), 1).tolist() == [True]
    assert hits_at(scores, truth_table([(2,)], 4), 1).tolist() == [False]


def test_more_guesses_than_classes_always_hit() -> None:
    assert hits_at(np.array([[0.9, 0.1]]), truth_table([(1,)], 2), 5).tolist() == [True]


def test_any_of_several_true_classes_is_a_hit() -> None:
    scores = np.array([[0.1, 0.2, 0.7]])
    assert hits_at(scores, truth_table([(0, 2)], 3), 1).tolist() == [True]
    assert hits_at(scores, truth_table([(0, 1)], 3), 1).tolist() == [False]


def test_a_video_without_a_label_is_never_hit() -> None:
    assert hits_at(np.array([[0.1, 0.9]]), truth_table([()], 2), 2).tolist() == [False]
