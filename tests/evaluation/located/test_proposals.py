"""Average recall of proposals."""

import numpy as np
import pytest

from kinema.errors import DataError
from kinema.evaluation.located.proposals import proposal_recall
from kinema.evaluation.located.segments import SegmentTable


def table(rows) -> SegmentTable:
    times = np.array([row[1:3] for row in rows], float).reshape(-1, 2)
    return SegmentTable(
        np.array([r[0] for r in rows], str), np.full(len(rows), "x"), times, np.array([r[3] for r in rows], float)
    )


TRUTH = table([("v", 0, 10, 1), ("v", 20, 30, 1), ("w", 0, 10, 1), ("w", 50, 60, 1)])


def test_recall_rises_with_the_number_of_proposals():
    # One right proposal a video is first; the second true segment is found by the second proposal of video v only.
    found = table([("v", 0, 10, 0.9), ("v", 20, 30, 0.8), ("w", 0, 10, 0.9), ("w", 70, 80, 0.8)])
    scores = proposal_recall(TRUTH, found, 2, [0.5])
    assert (scores.numbers[49], scores.numbers[99]) == (1.0, 2.0)
    assert (scores.recall[0, 49], scores.recall[0, 99]) == (2 / 4, 3 / 4)
    # No proposal below 0.5 a share, 1/2 from one a video on, 3/4 at two: area over the 99 steps of 0.02.
    heights = np.where(scores.numbers < 1, 0, np.where(scores.numbers < 2, 0.5, 0.75))
    assert scores.area == pytest.approx(((heights[1:] + heights[:-1]) / 2 * 0.02).sum() / 2)


def test_recall_is_averaged_over_thresholds():
    found = table([("v", 0, 6, 0.9), ("w", 0, 10, 0.9)])
    scores = proposal_recall(TRUTH, found, 1, [0.5, 0.7])
    assert scores.recall[:, -1].tolist() == [0.5, 0.25]
    assert scores.average_recall[-1] == 0.375


def test_a_video_without_proposals_counts_its_true_segments():
    scores = proposal_recall(TRUTH, table([("v", 0, 10, 0.9), ("v", 20, 30, 0.8)]), None, [0.5])
    assert scores.recall[0, -1] == 0.5


def test_other_videos_are_an_error():
    with pytest.raises(DataError, match="names of the videos"):
        proposal_recall(TRUTH, table([("x", 0, 10, 0.9)]))
