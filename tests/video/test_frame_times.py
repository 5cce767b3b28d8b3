"""Times of frames are repaired where their timestamps cannot be true."""

from __future__ import annotations

import numpy as np
import pytest

from kinema.video.frame_times import bounded, repaired


def test_good_times_are_kept() -> None:
    assert repaired(np.array([3, 7, 8]), np.ones(3, bool), 5.0).tolist() == [3, 7, 8]


def test_a_repeated_time_is_put_between_its_neighbours() -> None:
    assert repaired(np.array([0, 4, 4, 4, 10]), np.ones(5, bool), 1.0).tolist() == [0, 4, 6, 8, 10]


def test_times_out_of_order_are_sorted() -> None:
    assert repaired(np.array([0, 3, 1, 2]), np.ones(4, bool), 1.0).tolist() == [0, 1, 2, 3]


def test_missing_times_go_on_at_the_usual_step() -> None:
    known = np.array([False, True, False, True, False, False])
    assert repaired(np.array([9, 10, 9, 14, 9, 9]), known, 3.0).tolist() == [7, 10, 12, 14, 17, 20]
    assert repaired(np.zeros(3, np.int64), np.zeros(3, bool), 3.0).tolist() == [0, 3, 6]


def test_times_that_can_be_true_are_not_bounded() -> None:
    times = np.array([0.0, 1000.0, 1000.04])
    found, last_s, fault = bounded(times, 2000.0, 0.04)
    assert (found.tolist(), last_s, fault) == (times.tolist(), 2000.0, "")


def test_an_impossible_time_is_replaced_and_told() -> None:
    found, last_s, fault = bounded(np.array([0.0, 0.04, 700000.0, 700000.04]), 0.04, 0.04)
    assert found.tolist() == pytest.approx([0.0, 0.04, 0.08, 0.12])
    assert last_s == pytest.approx(0.04)
    assert "700000 s" in fault
    found, last_s, fault = bounded(np.array([0.0, 0.04]), 5e6, 0.04)
    assert (found.tolist(), last_s) == (pytest.approx([0.0, 0.04]), pytest.approx(0.04))
    assert fault
