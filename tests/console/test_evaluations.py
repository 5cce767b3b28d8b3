"""Figures and class tables on standard output."""

from __future__ import annotations

import numpy as np

from kinema.console.evaluations import print_evaluation
from kinema.labels import Labels


def test_classes_are_printed_as_they_are_and_those_without_a_video_without_figures(capsys, monkeypatch):
    from kinema.evaluation import VideoScores, evaluate_scores

    monkeypatch.setenv("COLUMNS", "100")
    labels = Labels(("walk [slow]", "[/b] stop", "at 10:100:20"))
    videos = [VideoScores(str(n), n, np.eye(3, dtype=np.float32)[[n]]) for n in range(2)]
    print_evaluation(evaluate_scores(videos, labels), "net [b]")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("net [b] on 2 videos")
    rows = {label: line.removeprefix(label).split() for label in labels for line in lines if line.startswith(label)}
    assert rows["walk [slow]"] == rows["[/b] stop"] == ["1", "1.000", "1.000", "1.000"]
    assert rows["at 10:100:20"] == ["0", "–", "–", "–"]
