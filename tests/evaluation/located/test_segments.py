"""Segments of many videos as columns."""

import numpy as np
import pytest

from kinema.errors import DataError
from kinema.evaluation.located.segments import SegmentTable, tiou
from kinema.predictions import Segment
from kinema.types import TimeSpan


def table(*rows: tuple[str, str, float, float, float]) -> SegmentTable:
    videos, labels, starts, ends, scores = zip(*rows, strict=True)
    return SegmentTable(np.array(videos), np.array(labels), np.stack([starts, ends], 1).astype(float), np.array(scores))


def test_tiou_of_partly_equal_apart_and_empty_segments():
    first = np.array([[0.0, 10.0], [5.0, 5.0]])
    second = np.array([[5.0, 15.0], [0.0, 10.0], [20.0, 30.0], [5.0, 5.0]])
    assert tiou(first, second) == pytest.approx(np.array([[5 / 15, 1, 0, 0], [0, 0, 0, 0]]))


def test_equal_scores_keep_their_order():
    rows = table(("v", "a", 0, 1, 0.5), ("v", "b", 0, 1, 0.9), ("v", "c", 0, 1, 0.5))
    assert rows.by_score().labels.tolist() == ["b", "a", "c"]


def test_doubles_need_the_same_video_label_and_times():
    rows = table(
        ("v", "a", 0, 1, 1), ("v", "a", 0.0005, 1, 1), ("v", "b", 0, 1, 1), ("w", "a", 0, 1, 1), ("v", "a", 0, 1.1, 1)
    )  # fmt: skip
    assert rows.without_doubles().videos.tolist() == ["v", "v", "w", "v"]


def test_rows_of_each_video_stay_in_order():
    rows = table(("w", "a", 0, 1, 1), ("v", "a", 0, 1, 1), ("w", "b", 0, 1, 1))
    assert {name: found.tolist() for name, found in rows.by_video().items()} == {"v": [1], "w": [0, 2]}


def test_a_table_of_predicted_segments():
    rows = SegmentTable.of({"v": [Segment(TimeSpan(1, 2), "a", 0.25)], "w": []})
    assert (len(rows), rows.videos[0], rows.labels[0], rows.times_s.tolist()) == (1, "v", "a", [[1.0, 2.0]])
    assert len(SegmentTable.of({})) == 0


@pytest.mark.parametrize("bad", [(2, 1, 1), (0, float("nan"), 1), (0, 1, float("inf"))])
def test_bad_times_and_scores_are_named(bad):
    with pytest.raises(DataError, match=r"finite times and score.*: w: b"):
        table(("v", "a", 0, 1, 1), ("w", "b", *bad))
