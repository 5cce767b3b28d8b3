"""Located actions judged by the protocol of a benchmark."""

import json

import numpy as np
import pytest

from kinema.errors import DataError
from kinema.evaluation.located.segments import SegmentTable
from kinema.runs.judge_segments import CONVENTIONS, judge_segments


def table(*rows) -> SegmentTable:
    """Rows of video, label, start, end and, for answers, a score."""
    times = np.array([row[2:4] for row in rows], float).reshape(-1, 2)
    scores = np.array([row[4] if len(row) > 4 else 1 for row in rows], float)
    return SegmentTable(np.array([r[0] for r in rows], str), np.array([r[1] for r in rows], str), times, scores)


TRUTH = table(("v", "a", 0, 10), ("v", "a", 0, 10), ("w", "b", 5, 6))
ANSWERS = table(("v", "a", 0, 10, 0.9), ("w", "b", 5, 6, 0.8), ("w", "c", 1, 2, 0.7))


@pytest.mark.parametrize("protocol", CONVENTIONS)
def test_every_protocol_gives_figures_and_counts(protocol):
    judged = judge_segments(TRUTH, ANSWERS, protocol)
    assert judged.convention
    assert all(np.isfinite(value) for value in judged.figures.values())
    assert (judged.num_videos, judged.num_true, judged.num_answers, judged.num_unknown) == (2, 3, 3, 1)
    assert json.loads(json.dumps(judged.to_json()))["kinds"]["right"] == 2


def test_protocols_have_their_thresholds():
    assert "map_at_0.95" in judge_segments(TRUTH, ANSWERS, "activitynet").figures
    assert "map_at_0.3" in judge_segments(TRUTH, ANSWERS, "thumos").figures
    assert "map_at_0.1" in judge_segments(TRUTH, ANSWERS, "thumos2014").figures


def test_truth_that_stands_twice_halves_recall_unless_it_is_left_out():
    kept, left_out = (judge_segments(TRUTH, ANSWERS, "thumos", remove_doubled=remove) for remove in (False, True))
    assert (kept.num_doubled, kept.by_class) == (1, {"a": 0.5, "b": 1.0})
    assert (left_out.num_doubled, left_out.num_true, left_out.by_class) == (1, 2, {"a": 1.0, "b": 1.0})


@pytest.mark.parametrize("protocol", CONVENTIONS)
def test_no_truth_is_an_error(protocol):
    with pytest.raises(DataError, match="no true segment"):
        judge_segments(table(), ANSWERS, protocol)
