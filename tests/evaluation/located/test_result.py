"""The evaluation of located actions: figures, classes, mistakes, text forms."""

from __future__ import annotations

import csv

import pytest

from kinema.errors import DataError
from kinema.evaluation.judgement import Failed
from kinema.evaluation.located.result import LocatedActions, evaluate_located
from kinema.evaluation.report import evaluation_report
from kinema.labels import Labels
from kinema.predictions import Segment
from kinema.types import TimeSpan

LABELS = Labels(("jump", "run"))


def segment(label: str, start_s: float, end_s: float, score: float = 1.0) -> Segment:
    return Segment(TimeSpan(start_s, end_s), label, score)


VIDEOS = (
    LocatedActions(
        "a.mp4",
        (segment("jump", 0, 4), segment("run", 2, 6)),
        (
            segment("jump", 0, 4, 0.9),
            segment("jump", 0, 4, 0.5),
            segment("run", 20, 24, 0.7),
            segment("run", 2, 6, 0.2),
        ),
    ),
    LocatedActions("b.mp4", (), ()),
)


def test_figures_are_mean_average_precisions():
    judged = evaluate_located(VIDEOS, LABELS)
    # jump: the first answer is right. run: the right answer is the second one, so its precision is one half.
    assert judged.figures == {"average_map": 0.75, "map_at_0.5": 0.75, "map_at_0.75": 0.75}
    assert judged.loss == 0.25
    assert judged.num_videos == 2


def test_classes_count_answers_with_enough_score():
    jump, run = evaluate_located(VIDEOS, LABELS).classes
    assert (jump.n, jump.precision, jump.recall) == (1, 0.5, 1.0)
    assert (run.n, run.precision, run.recall, run.f1) == (1, 0.0, 0.0, 0.0)


def test_mistakes_are_confident_answers_without_an_action():
    first, second = evaluate_located(VIDEOS, LABELS).mistakes()
    assert (first.predicted, first.true, first.score) == ("run 20.0-24.0 s", (), 0.7)
    assert (second.predicted, second.true) == ("jump 0.0-4.0 s", ("jump", "run"))


def test_text_forms_hold_truth_answers_and_failures():
    judged = evaluate_located(VIDEOS, LABELS, [Failed("c.mp4", "no frame")])
    rows = list(csv.DictReader(judged.videos_csv().splitlines()))
    assert [row["path"] for row in rows] == ["a.mp4"] * 6 + ["c.mp4"]
    assert rows[2] == {
        "path": "a.mp4", "start_s": "0.000", "end_s": "4.000", "label": "jump", "score": "0.900000", "error": "",
    }  # fmt: skip
    document = judged.to_json()
    assert document["num_actions"] == 2
    assert document["num_failed"] == 1
    assert "Average mAP" in evaluation_report(judged).html()


def test_nothing_true_is_an_error():
    with pytest.raises(DataError, match="no true segment"):
        evaluate_located(VIDEOS[1:], LABELS)
    with pytest.raises(DataError, match="not one video could be read"):
        evaluate_located((), LABELS, [Failed("c.mp4", "no frame")])
