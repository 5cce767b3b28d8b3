"""Sentences beside the figures: the user's doubts answered, and never a figure that is not a number."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest

from kinema.evaluation import Evaluation, Failed, VideoScores, evaluate_scores
from kinema.evaluation.framewise import FrameScores
from kinema.evaluation.framewise_result import evaluate_frames
from kinema.evaluation.remarks import baseline_figures, interval_note, legend, shown, warnings
from kinema.evaluation.report import evaluation_report
from kinema.labels import Labels

LABELS = Labels(("a", "b", "c", "d"))


def judged(
    targets: list[int], predicted: list[int], groups: list[str] | None = None, labels: Labels = LABELS
) -> Evaluation:
    rows = np.eye(len(labels), dtype=np.float32)
    named = groups or [""] * len(targets)
    return evaluate_scores(
        [
            VideoScores(str(n), t, rows[[p]], g)
            for n, (t, p, g) in enumerate(zip(targets, predicted, named, strict=True))
        ],
        labels,
    )


def test_two_cameras_cannot_tell_about_others():
    """57 of 58 right: the interval is that of the same videos one by one, and a sentence says why."""
    targets = [n % 4 for n in range(58)]
    predicted = [1, *targets[1:]]
    two = judged(targets, predicted, ["left" if n < 29 else "right" for n in range(58)])
    alone = judged(targets, predicted)
    assert two.intervals == alone.intervals
    assert two.num_sources == 2
    assert any("n = 2 sources" in line and "cannot be told" in line for line in warnings(two))
    assert not any("cannot be told" in line for line in warnings(alone))
    assert "the wider of a bootstrap over 2 sources and one over 58 videos" in interval_note(two)
    assert interval_note(alone) == "bootstrap over 58 videos"


def test_intervals_are_called_what_they_are():
    right = judged([0, 1, 2, 3] * 5, [0, 1, 2, 3] * 5)
    assert set(right.interval_methods.values()) == {"Clopper-Pearson by video"}
    assert interval_note(right) == "Clopper-Pearson over 20 videos: all are right, or none"
    some = judged([0, 1] * 10, [0, 1] * 9 + [0, 0], labels=Labels(tuple("abcdef")))
    assert interval_note(some) == "bootstrap over 20 videos; Clopper-Pearson for Clip hit@5, Video hit@5"
    assert interval_note(some, "video_hit_at_1") == "bootstrap over 20 videos"
    by_source = judged([0, 1] * 20, [0, 1, 1, 1] * 10, [str(n // 2) for n in range(40)])
    assert by_source.interval_methods["video_hit_at_1"] == "bootstrap by source"
    assert interval_note(by_source) == "bootstrap over 20 sources"


@pytest.mark.parametrize(
    ("predicted", "expected"),
    [
        ([0] * 20, "not shown to be above always naming 'a'"),
        ([3] * 20, "is below always naming 'a'"),
        ([0] * 10 + [1] * 10, ""),
    ],
)
def test_a_network_that_is_not_above_the_largest_class_is_named(predicted, expected):
    found = [line for line in warnings(judged([0] * 10 + [1] * 10, predicted)) if line.startswith("Video hit@1")]
    assert len(found) == bool(expected)
    assert all(expected in line for line in found)
    assert judged([0] * 10 + [1] * 10, predicted).to_json()["above_baseline"] is not bool(expected)


def test_hit_at_5_of_five_classes_is_not_shown_and_its_key_stays():
    five, six = (Labels(tuple("abcdef"[:number])) for number in (5, 6))
    few, many = judged([0, 1], [0, 0], labels=five), judged([0, 1], [0, 0], labels=six)
    assert not [name for name in shown(few) if name.endswith("hit_at_5")]
    assert not [name for name in few.intervals if name.endswith("hit_at_5")]
    assert few.to_json()["video_hit_at_5"] == 1
    assert {"video_hit_at_5", "clip_hit_at_5"} <= set(shown(many)) & set(many.intervals)


def frames(targets: list[int], predicted: list[int]):
    scores = np.full((len(targets), 4), 0.1, np.float32)
    scores[range(len(targets)), predicted] = 0.7
    return evaluate_frames([FrameScores("x.mp4", np.array(targets), scores)], LABELS)


DOUBTS = {
    "one class": judged([2] * 12, [2] * 6 + [1] * 6),
    "three videos": judged([0, 1, 2], [0, 1, 1]),
    "one video": judged([0], [1]),
    "all wrong": judged([0, 1, 2, 3] * 5, [1, 2, 3, 0] * 5),
    "all right": judged([0, 1, 2, 3] * 5, [0, 1, 2, 3] * 5),
    "all right, one source": judged([0, 1] * 5, [0, 1] * 5, ["x"] * 10),
    "no positives": evaluate_scores(
        [VideoScores(str(n), (), np.full((1, 4), 0.2, np.float32)) for n in range(5)], LABELS, multi_label=True
    ),
    "failures": evaluate_scores(
        [VideoScores("1", 0, np.eye(4, dtype=np.float32)[[0]])], LABELS, failures=[Failed("2", "bad")]
    ),
    "frames": frames([0] * 5 + [1] * 5, [0] * 10),
}


@pytest.mark.parametrize("name", DOUBTS)
def test_doubtful_data_give_sensible_text_and_numbers(name):
    judgement = DOUBTS[name]
    document = json.loads(json.dumps(judgement.to_json(), allow_nan=False))
    assert all(0 <= low <= high <= 1 for low, high in document["intervals"].values())
    assert set(document["interval_methods"]) == set(document["intervals"])
    page = evaluation_report(judgement).html()
    text = "\n".join([*legend(judgement), *warnings(judgement)])
    assert not re.search(r"\bnan\b|\binf\b|None", text)
    assert all(line.split("'")[0] in page.replace("&#39;", "'") for line in legend(judgement))
    assert all(math.isfinite(value) for key in shown(judgement) for value in baseline_figures(judgement, key).values())


def test_classes_without_a_video_are_named():
    (line,) = (line for line in warnings(DOUBTS["one class"]) if line.startswith("classes"))
    assert line == "classes without an evaluated video, which the figures do not cover: a, b, d (3 of 4)"
    assert any("n = 3 videos: too few" in line for line in warnings(DOUBTS["three videos"]))
    assert any("n = 1 source" in line for line in warnings(DOUBTS["all right, one source"]))
