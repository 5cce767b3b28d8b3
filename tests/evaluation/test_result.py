from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from kinema.errors import DataError
from kinema.evaluation import Failed, VideoScores, evaluate_scores
from kinema.evaluation.result import classes_csv
from kinema.labels import Labels

LABELS = Labels(("a", "b", "c"))


def video(key: str, target: int | tuple[int, ...], *rows: list[float]) -> VideoScores:
    return VideoScores(key, target, np.array(rows, dtype=np.float32))


@pytest.fixture
def four_videos() -> list[VideoScores]:
    return [
        video("1", 0, [0.8, 0.1, 0.1], [0.2, 0.7, 0.1]),  # right by its mean, one clip of two wrong
        video("2", 0, [0.1, 0.9, 0.0]),
        video("3", 1, [0.1, 0.6, 0.3]),
        video("4", 1, [0.0, 0.8, 0.2]),
    ]


def test_figures_are_those_counted_by_hand(four_videos: list[VideoScores]) -> None:
    result = evaluate_scores(four_videos, LABELS)
    assert result["video_hit_at_1"] == 3 / 4
    assert result["clip_hit_at_1"] == 3 / 5
    assert result["video_hit_at_5"] == result["clip_hit_at_5"] == 1
    assert result["mean_class_accuracy"] == pytest.approx((1 / 2 + 1) / 2)
    assert result["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)  # class c is neither true nor predicted


def test_class_table_and_confusion_are_those_counted_by_hand(four_videos: list[VideoScores]) -> None:
    result = evaluate_scores(four_videos, LABELS)
    a, b, c = result.classes
    assert (a.n, a.precision, a.recall) == (2, 1, 0.5)
    assert (b.n, b.precision, b.recall) == (2, pytest.approx(2 / 3), 1)
    assert (c.n, c.precision, c.recall, c.f1) == (0, 0, 0, 0)
    assert result.confusion is not None
    assert result.confusion.tolist() == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]


def test_json_has_the_promised_keys_and_names_failed_files(four_videos: list[VideoScores]) -> None:
    result = evaluate_scores(four_videos, LABELS, protocol="2x1", failures=[Failed("5", "not a video")])
    found = json.loads(json.dumps(result.to_json()))
    promised = "macro_f1 clip_hit_at_1 clip_hit_at_5 video_hit_at_1 video_hit_at_5 mean_class_accuracy"
    assert {*promised.split(), "num_videos", "num_failed", "classes"} <= set(found)
    assert (found["num_videos"], found["num_failed"], found["protocol"]) == (4, 1, "2x1")
    assert found["failures"] == [{"path": "5", "error": "not a video"}]
    assert found["classes"]["a"] == {"n": 2, "precision": 1.0, "recall": 0.5, "f1": 0.666667}
    assert found["intervals"]["macro_f1"][0] <= found["macro_f1"] <= found["intervals"]["macro_f1"][1]


def test_worst_mistake_is_the_most_confident_one(four_videos: list[VideoScores]) -> None:
    more = [*four_videos, video("0", 2, [0.4, 0.35, 0.25])]
    assert [m.key for m in evaluate_scores(more, LABELS).mistakes()] == ["2", "0"]
    assert evaluate_scores(more, LABELS).mistakes(1)[0].predicted == "b"


def test_tables_name_every_video_failed_ones_too(four_videos: list[VideoScores]) -> None:
    result = evaluate_scores(four_videos, LABELS, failures=[Failed("5", "not a video")])
    rows = list(csv.DictReader(io.StringIO(result.videos_csv())))
    assert [row["path"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert (rows[1]["true"], rows[1]["top1"], rows[1]["hit_at_1"], rows[4]["error"]) == ("a", "b", "0", "not a video")
    assert [row["label"] for row in csv.DictReader(io.StringIO(classes_csv(result.classes)))] == ["a", "b", "c"]


def test_several_labels_a_video_hit_if_any_is_among_the_best() -> None:
    videos = [video("1", (0, 2), [0.1, 0.3, 0.9]), video("2", (0, 1), [0.6, 0.7, 0.8])]
    result = evaluate_scores(videos, LABELS, multi_label=True)
    assert result["video_hit_at_1"] == 0.5
    assert result.confusion is None
    assert result.classes[0].recall == 0.5  # 0.1 is below one half, 0.6 above
    assert 0 < result["mean_average_precision"] <= 1


def test_data_of_several_labels_have_no_confusion_even_where_each_video_has_one() -> None:
    result = evaluate_scores(
        [video("1", (2,), [0.1, 0.2, 0.3]), video("2", (0,), [0.1, 0.2, 0.3])], LABELS, multi_label=True
    )
    assert result.confusion is None
    assert set(result.figures) - set(result.intervals) == {"mean_average_precision", "clip_hit_at_5", "video_hit_at_5"}


def test_spans_of_one_video_are_no_independent_videos() -> None:
    scores = np.array([[0.9, 0.1, 0.0]], np.float32)
    of_films = [VideoScores(f"{i}", i // 50 % 2, scores, group=f"film {i // 50}") for i in range(400)]
    alone = [VideoScores(each.key, each.target, scores) for each in of_films]
    widths = [np.diff(evaluate_scores(videos, LABELS).intervals["video_hit_at_1"])[0] for videos in (of_films, alone)]
    assert widths[0] > 4 * widths[1]


def test_no_video_at_all_is_an_error_that_names_a_cause() -> None:
    with pytest.raises(DataError, match=r"5: not a video"):
        evaluate_scores([], LABELS, failures=[Failed("5", "not a video")])
