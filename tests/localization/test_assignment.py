import numpy as np

from kinema.localization.assignment import assign


def test_the_total_overlap_is_largest():
    # Greedy matching would take 0.9 first and leave 0.1.
    assert assign(np.array([[0.9, 0.8], [0.8, 0.1]]), 0.2) == [(0, 1), (1, 0)]


def test_pairs_below_the_least_overlap_are_not_matched():
    assert assign(np.array([[0.9, 0.1], [0.1, 0.1]]), 0.2) == [(0, 0)]


def test_there_may_be_no_row_or_column():
    assert assign(np.zeros((0, 3)), 0.2) == assign(np.zeros((3, 0)), 0.2) == []
