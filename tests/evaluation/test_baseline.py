"""Figures without looking at any video: of the most frequent class, and of a guess."""

from __future__ import annotations

import numpy as np
import pytest

from kinema.evaluation import VideoScores, evaluate_scores
from kinema.evaluation.baseline import Baseline, constant_scores, hit_chance, standing
from kinema.evaluation.framewise import FrameScores
from kinema.evaluation.framewise_result import evaluate_frames
from kinema.labels import Labels

LABELS = Labels(("a", "b", "c"))


def videos_of(*targets: int | tuple[int, ...]) -> list[VideoScores]:
    return [VideoScores(str(n), target, np.eye(3, dtype=np.float32)[[0]]) for n, target in enumerate(targets)]


def test_scores_rank_classes_by_their_counts_and_predict_one():
    scores = constant_scores(np.array([3.0, 9.0, 9.0, 0.0]))
    assert np.argsort(-scores, kind="stable").tolist() == [1, 2, 0, 3]
    assert (scores >= 0.5).tolist() == [False, True, False, False]
    assert constant_scores(np.zeros(2)).tolist() == [1, 0]


def test_a_guess_hits_as_often_as_counted_by_hand():
    assert hit_chance([1, 1], 8, 5) == pytest.approx(5 / 8)
    assert hit_chance([2], 4, 2) == pytest.approx(1 - 1 / 6)  # of six pairs one misses both
    assert hit_chance([1], 3, 5) == 1


def test_the_largest_class_is_that_of_the_training_part_if_known():
    baseline = evaluate_scores(videos_of(0, 0, 0, 1), LABELS, class_counts=[1, 5, 2]).baseline
    assert baseline is not None
    assert (baseline.label, baseline.known_from) == ("b", "training part")
    assert baseline.figures["video_hit_at_1"] == 0.25
    assert baseline.chance["video_hit_at_1"] == pytest.approx(1 / 3)
    assert baseline.best("video_hit_at_1") == (pytest.approx(1 / 3), "guessing")
    unknown = evaluate_scores(videos_of(0, 0, 0, 1), LABELS).baseline
    assert unknown is not None
    assert (unknown.label, unknown.known_from) == ("a", "evaluated videos")
    assert unknown.figures["macro_f1"] == pytest.approx((2 * 3 / (4 + 3)) / 2)
    assert unknown.best("video_hit_at_1") == (0.75, "always naming 'a'")


def test_of_several_labels_the_baseline_is_the_share_of_videos_with_the_most_frequent_one():
    baseline = evaluate_scores(videos_of((0, 1), (1,), (), (2,)), LABELS, multi_label=True).baseline
    assert baseline is not None
    assert (baseline.label, baseline.figures["video_hit_at_1"]) == ("b", 0.5)
    assert baseline.figures["mean_average_precision"] == pytest.approx((1 / 4 + 2 / 4 + 1 / 4) / 3)
    assert baseline.chance["video_hit_at_1"] == pytest.approx((2 / 3 + 1 / 3 + 0 + 1 / 3) / 4)


def test_of_frames_the_baseline_is_the_share_of_the_most_frequent_label():
    scores = np.tile(np.float32([0.2, 0.3, 0.5]), (10, 1))
    frames = [FrameScores("x", np.array([0] * 6 + [1] * 4), scores)]
    counted, known = (
        evaluate_frames(frames, LABELS).baseline,
        evaluate_frames(frames, LABELS, class_counts=[1, 2, 0.5]).baseline,
    )
    assert counted is not None
    assert known is not None
    assert (counted.label, counted.figures["frame_accuracy"]) == ("a", 0.6)
    assert (known.label, known.figures["frame_accuracy"]) == ("b", 0.4)
    assert known.chance["frame_accuracy"] == pytest.approx(1 / 3)


def test_a_baseline_at_the_end_of_an_interval_is_covered():
    assert [standing((0.5, 0.7), value) for value in (0.4, 0.5, 0.7, 0.8)] == ["above", "covered", "covered", "below"]


def test_json_names_the_class_and_where_it_is_known_from():
    baseline = Baseline("a", "training part", {"x": 1 / 3}, {})
    assert baseline.to_json() == {"label": "a", "known_from": "training part", "figures": {"x": 0.333333}, "chance": {}}
