"""Labels along a video: from rows to targets at times."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kinema.datasets import open_data
from kinema.datasets.temporal_labels import (
    TemporalLabels,
    seconds_of_classes,
    temporal_labels,
    with_background,
)
from kinema.errors import DataError
from kinema.labels import IGNORED
from kinema.types import InputSpec, TimeSpan

SPEC = InputSpec(clip_len=6, frame_stride=2, size=(32, 48))


def test_a_span_has_its_start_and_not_its_end():
    timed = TemporalLabels(((TimeSpan(0.2, 0.4), 1), (TimeSpan(0.4, 0.6), 0)), elsewhere=2)
    assert timed.at(np.array([0.0, 0.1999, 0.2, 0.3, 0.4, 0.5, 0.6])).tolist() == [2, 1, 1, 1, 0, 0, 2]
    assert TemporalLabels(((None, 1),)).at(np.array([0.0, 9.0])).tolist() == [1, 1]
    assert TemporalLabels(()).at(np.array([0.0])).tolist() == [IGNORED]


def test_times_without_a_label_make_a_class_of_their_own(listed):
    data = with_background(listed(("a", 1, 2), ("b", 3, 4)))
    assert list(data.labels) == ["a", "b", "background"]
    (timed,) = temporal_labels(data).values()
    assert timed.at(np.array([0.5, 1.5, 2.5, 3.5, 4.5])).tolist() == [2, 0, 2, 1, 2]
    assert seconds_of_classes(temporal_labels(data), 3) == pytest.approx([1.0, 1.0, 2.8])


def test_only_where_there_are_such_times(listed):
    assert list(with_background(listed(("a", 0, 2), ("b", 2, 4.8))).labels) == ["a", "b"]
    assert list(with_background(listed(("a", 0, 2), ("b", 2.05, 4.75))).labels) == ["a", "b"]  # rounding
    assert list(with_background(listed(("a", 0, 2), ("b", 2, 4.0))).labels) == ["a", "b", "background"]
    assert list(with_background(listed(("a", 0.5, 2), ("b", 2, 4.8)), "idle").labels) == ["a", "b", "idle"]


def test_or_they_are_left_out(listed):
    data = with_background(listed(("a", 1, 2), ("b", 3, 4)), "")
    assert list(data.labels) == ["a", "b"]
    (timed,) = temporal_labels(data, "").values()
    assert timed.at(np.array([0.5, 1.5])).tolist() == [IGNORED, 0]


def test_a_class_that_is_called_so_already_is_taken(listed):
    data = with_background(listed(("background", 1, 2), ("b", 3, 4)))
    assert list(data.labels) == ["b", "background"] or list(data.labels) == ["background", "b"]
    (timed,) = temporal_labels(data).values()
    assert set(timed.at(np.array([0.5, 1.5])).tolist()) == {data.labels.index("background")}


def test_two_labels_at_one_time_are_refused(listed):
    for rows in ([("a", 1, 2), ("b", 1.5, 3)], [("a", 0, 4), ("b", 1, 2)], [("a", "", ""), ("b", 1, 2)]):
        with pytest.raises(DataError, match="two labels at one time"):
            with_background(listed(*rows))
    with_background(listed(("a", 1, 2), ("a", 1.5, 3), ("b", 3, 4)))  # the same label twice
    with_background(listed(("a", 1, 2.05), ("b", 2, 4)))  # rounding
    with pytest.raises(DataError, match="several labels"):
        with_background(listed(("a;b", 1, 2), ("b", 3, 4)))


def test_rows_that_have_no_times_are_refused(listed):
    with pytest.raises(DataError, match="no row has a start and an end"):
        temporal_labels(replace_spans(listed(("a", 1, 2), ("b", 3, 4))))


def replace_spans(data):
    return data.with_examples(replace(example, span=None) for example in data.examples)


def test_a_video_belongs_to_one_part_whatever_its_groups(listed):
    data = listed(("a", 1, 2, "train"), ("b", 3, 4, "valid"), ("a", 4, 4.5, "valid"), ("b", 0, 1, "train"))
    grouped = data.with_examples(replace(example, group=example.split) for example in data.examples)
    for torn in (data, grouped):
        with pytest.raises(DataError, match="1 videos are in two parts"):
            with_background(torn)


def test_folders_of_pictures_have_the_rate_of_their_data_set(image_folder, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(f"path,label,start,end\n{image_folder},run,0,0.5\n{image_folder},jump,0.5,0.8\n")
    data = with_background(open_data(path, image_fps=10))
    assert list(data.labels) == ["jump", "run", "background"]
    assert seconds_of_classes(temporal_labels(data), 3) == pytest.approx([0.3, 0.5, 0.4])
