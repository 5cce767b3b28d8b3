"""Predictions on standard output and in a report."""

from __future__ import annotations

import numpy as np


def test_a_line_tells_how_many_segments_there_are_and_how_often_the_label_changes(capsys):
    from kinema.console.prediction_printer import PredictionPrinter
    from kinema.predictions import Prediction, Segment, Timeline
    from kinema.types import TimeSpan

    scores = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    times = np.array([0.5, 1.5])
    track = Timeline(scores, times, np.stack([times - 0.5, times + 0.5], axis=1), ("a", "b"), scores)
    segments = tuple(Segment(TimeSpan(start, start + 1), label, 0.8) for start, label in enumerate("ab"))
    printer = PredictionPrinter("table", None, single=False, to_files=False)
    printer(Prediction("x.mp4", ("a", "b"), scores[0], TimeSpan(0, 2), track, segments))
    assert capsys.readouterr().out == "x.mp4  a  90.0%  2 segments, 30.0 label changes a minute\n"


def test_a_class_has_one_colour_in_the_whole_report(monkeypatch, tmp_path):
    from kinema import charts
    from kinema.console.prediction_printer import write_report
    from kinema.predictions import Prediction
    from kinema.types import TimeSpan

    drawn = []
    real = charts.bars
    monkeypatch.setattr(charts, "bars", lambda rows, **more: drawn.append(more["colours"]) or real(rows, **more))
    labels = tuple("abc")
    track = _track(labels)
    found = [
        Prediction(f"{number}.mp4", labels, np.array(scores, np.float32), TimeSpan(0, 1), track)
        for number, scores in enumerate([(0.7, 0.2, 0.1), (0.1, 0.2, 0.7), (0.1, 0.7, 0.2)])
    ]
    write_report(list(found), tmp_path / "report.html", "m", 2)
    assert len(drawn) == 3
    assert drawn[0] == drawn[1] == drawn[2]
    assert len(set(drawn[0].values())) == 3


def _track(labels):
    from kinema.predictions import Timeline

    scores = np.ones((1, len(labels)), np.float32) / len(labels)
    return Timeline(scores, np.array([0.5]), np.array([[0.0, 1.0]]), labels, scores)
