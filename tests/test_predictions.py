import sys
from dataclasses import replace

import numpy as np
import pytest

from kinema.errors import MissingExtra, UsageError
from kinema.predictions import Prediction, Segment, Timeline
from kinema.types import TimeSpan


def prediction(**changes) -> Prediction:
    scores = np.array([[0.9, 0.1], [0.2, 0.8]], dtype=np.float32)
    timeline = Timeline(scores, np.array([0.5, 1.5]), np.array([[0.0, 1.0], [1.0, 2.0]]), ("run", "jump"), scores)
    segments = (Segment(TimeSpan(0, 1), "run", 0.9), Segment(TimeSpan(1, 2), "jump", 0.8))
    values = {"timeline": timeline, "segments": segments} | changes
    return Prediction("a.mp4", ("run", "jump"), scores.mean(axis=0), TimeSpan(0, 2), **values)


def test_predictions_print_in_one_line():
    found = prediction()
    assert (
        repr(found)
        == f"Prediction('a.mp4': {found.label} {found.scores.max():.1%}, 2.0 s, {len(found.segments)} segments)"
    )
    assert repr(found.timeline) == "Timeline(2 times x 2 classes, rolling=1)"


def test_best_labels_come_first_and_json_has_the_promised_keys():
    made = prediction()
    assert made.top(1)[0][0] == "run"
    assert list(made.to_json()) == ["path", "duration_s", "top", "timeline", "segments"]
    assert made.to_json()["segments"][1] == {"start_s": 1, "end_s": 2, "label": "jump", "score": 0.8}


def test_flicker_counts_label_changes_a_minute():
    timeline = prediction().timeline
    assert timeline.changes_per_minute() == pytest.approx(30)
    assert timeline.top_labels == ["run", "jump"]


@pytest.mark.parametrize(
    ("ending", "start"), [("json", "{"), ("csv", "path,"), ("srt", "1\n00:00:00,000"), ("vtt", "WEBVTT")]
)
def test_the_ending_chooses_the_format(tmp_path, ending, start):
    prediction().save(tmp_path / f"out.{ending}")
    assert (tmp_path / f"out.{ending}").read_text().startswith(start)


def test_the_plot_is_a_image(tmp_path):
    prediction().save(tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match="ending"):
        prediction().save(tmp_path / "out.doc")


def test_predictions_stand_for_the_time_up_to_the_midpoints():
    scores = np.full((3, 2), 0.5, np.float32)
    spans_s = np.array([[0.0, 2.0], [1.0, 3.0], [5.0, 7.0]])
    track = Timeline(scores, spans_s.mean(axis=1), spans_s, ("run", "jump"), scores)
    assert track.cells_s.tolist() == [[0, 1.5], [1.5, 4], [4, 7]]


def test_scores_must_fit_the_labels():
    scores = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match="do not fit"):
        Timeline(scores, np.zeros(2), np.zeros((2, 2)), ("run", "jump"), scores)
    with pytest.raises(ValueError, match="does not fit 2 labels"):
        Prediction("a.mp4", ("run", "jump"), scores[0], TimeSpan(0, 1))


def test_damage_and_skipped_frames_are_in_the_json_only_if_there_are_any():
    assert not {"damage", "fast_seek"} & set(prediction().to_json())
    damaged = prediction(damage="the last 2 s are missing", fast_seek="keyframes").to_json()
    assert (damaged["damage"], damaged["fast_seek"]) == ("the last 2 s are missing", "keyframes")


def test_a_timeline_becomes_a_data_frame():
    table = prediction().timeline.to_pandas()
    assert list(table.columns) == ["time_s", "start_s", "end_s", "label", "run", "jump"]
    assert table.label.tolist() == ["run", "jump"]
    assert table.jump.tolist() == pytest.approx([0.1, 0.8])
    assert table.end_s.tolist() == [1.0, 2.0]


def test_a_missing_pandas_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtra, match=r"kinema\[pandas\]"):
        prediction().timeline.to_pandas()


def test_notebooks_display_the_chart_and_escape_names():
    shown = replace(prediction(), path="<script>.mp4")._repr_html_()
    assert "<svg" in shown
    assert "&lt;script&gt;.mp4" in shown
    assert "<script" not in shown
