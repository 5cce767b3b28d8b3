"""Figures and class tables on standard output."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from kinema.console.evaluations import print_comparison, print_evaluation
from kinema.labels import Labels
from kinema.runs.comparison import Comparison, NetworkResult


def test_classes_are_printed_as_they_are_and_those_without_a_video_without_figures(capsys, monkeypatch):
    from kinema.evaluation import VideoScores, evaluate_scores

    monkeypatch.setenv("COLUMNS", "100")
    labels = Labels(("walk [slow]", "[/b] stop", "at 10:100:20"))
    videos = [VideoScores(str(n), n, np.eye(3, dtype=np.float32)[[n]]) for n in range(2)]
    print_evaluation(evaluate_scores(videos, labels), "net [b]")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "net [b] on 2 videos, views a video (clips x crops): 1x1"
    assert lines[2].split() == ["figure", "value", "95", "%", "interval", "largest", "class", "chance"]
    assert lines[3].split() == ["Video", "hit@1", "1.000", "0.158", "-", "1.000", "0.500", "0.333"]
    rows = {label: line.removeprefix(label).split() for label in labels for line in lines if line.startswith(label)}
    assert rows["walk [slow]"] == rows["[/b] stop"] == ["1", "1.000", "1.000", "1.000"]
    assert rows["at 10:100:20"] == ["0", "–", "–", "–"]


def test_a_comparison_ends_with_the_best_network_and_fits_80_columns(capsys, monkeypatch):
    from kinema.evaluation import VideoScores, evaluate_scores

    monkeypatch.setenv("COLUMNS", "80")
    labels, scores = Labels(tuple("abcdef")), np.eye(6, dtype=np.float32)
    right = evaluate_scores([VideoScores(str(n), n, scores[[n]]) for n in range(6)], labels)
    results = [
        NetworkResult(name, right, 12_345_678, 12_345_000_000, 123.4, Path("runs") / name)
        for name in ("single_frame_small", "a_network_with_a_longer_name")
    ]
    comparison = Comparison("films.csv", "valid", tuple(results), "x.mp4")
    print_comparison(comparison, "A title")
    piped = capsys.readouterr().out
    assert piped.splitlines()[:3] == [
        "A title",
        "films.csv, part valid: 6 videos",
        "views a video (clips x crops): 1x1",
    ]
    assert all(text in piped for text in ("54.1-100.0", "12.35M", "12.345", "123.4", "largest class", "p=1"))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    print_comparison(comparison)
    narrow = capsys.readouterr().out
    assert max(map(len, re.sub(r"\x1b\[[0-9]*m", "", narrow).splitlines())) <= 80
    assert "a_network_with_a_longer_name" in narrow
    assert "no room here for:" in narrow
