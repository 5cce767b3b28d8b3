"""Figures of frame-wise labels in both conventions."""

import numpy as np
import pytest

from kinema.errors import DataError
from kinema.evaluation.located.segmental import segmental_scores


def test_f1_by_video_and_pooled_differ():
    one = np.array([1, 1, 2, 2])
    many = np.repeat([1, 2, 1, 2, 1, 2], 2)
    wrong = np.zeros(12, np.int64)
    scores = segmental_scores([(one, one), (many, wrong)], background=0)
    assert scores.f1_mean == (0.5, 0.5, 0.5)
    assert scores.f1_pooled == pytest.approx((2 * 2 / (2 * 2 + 6),) * 3)
    assert (scores.accuracy_mean, scores.accuracy_pooled) == (0.5, 4 / 16)
    assert scores.edit_score == 0.5


def test_overlap_decides_at_each_threshold():
    # The true segment 0 to 10 is met by 0 to 3: tIoU 0.3.
    true, predicted = np.repeat([1, 1], 5), np.repeat([1, 0], [3, 7])
    assert segmental_scores([(true, predicted)], background=0).f1_mean == (1, 1, 0)


def test_no_frames_are_an_error():
    with pytest.raises(DataError, match="no labelled frame"):
        segmental_scores([])
