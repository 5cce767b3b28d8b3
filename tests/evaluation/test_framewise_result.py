"""Figures of frame-wise labels, against numbers worked out by hand."""

import csv
import io
import json

import numpy as np
import pytest

from kinema.errors import DataError
from kinema.evaluation.framewise import FrameScores
from kinema.evaluation.framewise_result import evaluate_frames
from kinema.evaluation.report import evaluation_report, save
from kinema.labels import IGNORED, Labels

LABELS = Labels(("run", "jump", "background"))


def video(true: list[int], predicted: list[int], key: str = "a.mp4", group: str = "") -> FrameScores:
    scores = np.full((len(predicted), 3), 0.1, np.float32)
    scores[np.arange(len(predicted)), predicted] = 0.8
    return FrameScores(key, np.array(true), scores, group)


def test_figures_of_two_videos_are_those_on_paper():
    first = video([0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1, 1, 1])
    second = video([2, 2, 0, 0], [2, 0, 1, 0], "b.mp4")

    found = evaluate_frames([first, second], LABELS, background=2)

    assert found["frame_accuracy"] == pytest.approx((7 + 2) / 12)
    assert found["mean_class_accuracy"] == pytest.approx(((3 + 1) / 6 + 4 / 4 + 1 / 2) / 3)
    assert found["macro_f1"] == pytest.approx((8 / (6 + 5) + 8 / (4 + 6) + 2 / (2 + 1)) / 3)
    # Segments without the background: 01 -> 01, and 0 -> 010.
    assert found["edit_score"] == pytest.approx((1 + (1 - 2 / 3)) / 2)
    # a.mp4: 3 of 4 and 4 of 5 overlap. b.mp4: the true one is 2-4; predicted are 1-2 (none of it), 2-3 (jump), 3-4 (1 of 2).
    assert found["f1_at_50"] == pytest.approx(2 * 3 / (2 * 3 + 2 + 0))
    assert found["f1_at_10"] == found["f1_at_25"] == found["f1_at_50"]
    assert found.confusion.tolist() == [[4, 2, 0], [0, 4, 0], [1, 0, 1]]
    assert [row.n for row in found.classes] == [6, 4, 2]
    assert found.classes[0].precision == pytest.approx(4 / 5)
    low, high = found.intervals["frame_accuracy"]
    assert low == pytest.approx(2 / 4)
    assert high == pytest.approx(7 / 8)


def test_ignored_frames_are_not_counted():
    with_gap = video([0, IGNORED, IGNORED, 0, 1], [0, 1, 1, 0, 1])
    found = evaluate_frames([with_gap, video([IGNORED], [0], "empty.mp4")], LABELS)
    assert found["frame_accuracy"] == found["edit_score"] == found["f1_at_50"] == 1.0
    assert found.num_videos == 1
    assert found.confusion.sum() == 3
    assert found.loss == pytest.approx(-np.log(0.8))


def test_videos_of_one_group_are_drawn_together():
    predicted = [[0, 1] if number // 50 % 2 else [1, 0] for number in range(400)]
    widths = [
        np.diff(evaluate_frames(films, LABELS).intervals["frame_accuracy"])[0]
        for films in (
            [video([0, 1], labels, f"{n}.mp4", f"camera {n // 50}") for n, labels in enumerate(predicted)],
            [video([0, 1], labels, f"{n}.mp4") for n, labels in enumerate(predicted)],
        )
    ]
    assert widths[0] > 4 * widths[1]


def test_flicker_costs_segments_and_hardly_any_frames():
    true = [0] * 50 + [1] * 50
    flickering = [1 if place % 10 == 5 else label for place, label in enumerate(true[:50])] + true[50:]
    found = evaluate_frames([video(true, flickering)], LABELS)
    assert found["frame_accuracy"] == 0.95
    assert found["edit_score"] == pytest.approx(2 / 12)
    assert found["f1_at_50"] < 0.2


def test_what_cannot_be_judged_says_so():
    with pytest.raises(DataError, match="no labelled frame"):
        evaluate_frames([video([IGNORED], [0])], LABELS)
    with pytest.raises(DataError, match="3 scores do not fit 2 classes"):
        evaluate_frames([video([0], [0])], Labels(("a", "b")))


def test_it_is_written_down_in_every_form(tmp_path):
    found = evaluate_frames([video([0, 0, 1, 1], [0, 1, 1, 1]), video([1, 1], [1, 1], "b.mp4")], LABELS, background=2)
    save(found, tmp_path)
    written = json.loads((tmp_path / "evaluation.json").read_text())
    assert (written["num_videos"], written["num_steps"], written["background"]) == (2, 6, "background")
    assert written["classes"]["jump"] == {"n": 4, "precision": 0.8, "recall": 1.0, "f1": pytest.approx(8 / 9, abs=1e-6)}
    rows = list(csv.DictReader(io.StringIO((tmp_path / "predictions.csv").read_text())))
    assert [(row["path"], row["steps"], row["true_segments"]) for row in rows] == [
        ("a.mp4", "4", "2"),
        ("b.mp4", "2", "1"),
    ]
    assert [(m.key, m.predicted, m.score) for m in found.mistakes()] == [("a.mp4", "jump", 0.25)]
    page = evaluation_report(found).html()
    assert "Frame accuracy" in page
    assert "judged at each step" in page
