"""Networks beside each other: rows of a table, gains and losses of classes, the best one and those like it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from kinema.evaluation import Evaluation, VideoScores, evaluate_scores
from kinema.labels import Labels
from kinema.runs.comparison import (
    Comparison,
    NetworkResult,
    average_evaluation,
    class_changes,
    worth_of_time,
    write_comparison,
)

LABELS = Labels(("a", "b"))


def judged(*predicted: int) -> Evaluation:
    """The first half of the videos are of class a, the second half of class b."""
    scores = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    half = len(predicted) // 2
    return evaluate_scores(
        [VideoScores(f"{n}.mp4", n // half, scores[[guess]]) for n, guess in enumerate(predicted)], LABELS
    )


def comparison(**networks: Evaluation) -> Comparison:
    results = [
        NetworkResult(name, found, macs=100 - place, checkpoint=Path("runs/my run") / name)
        for place, (name, found) in enumerate(networks.items())
    ]
    return Comparison("videos", "valid", tuple(results), "videos/a b.mp4")


def test_gains_and_losses_are_those_of_the_recall_of_classes():
    base, other = judged(0, 1, 0, 1), judged(0, 0, 0, 0)
    assert class_changes(base, other) == [("a", 0.5), ("b", -0.5)]
    (line,) = worth_of_time([NetworkResult("one", base), NetworkResult("two", other)])
    assert line == "two: gains a +50%; losses b -50%"


def test_the_average_judges_mean_scores():
    # 0.9 for the right class beats 0.8 for the wrong one.
    assert average_evaluation([judged(0, 0, 0, 0), judged(1, 1, 1, 1)]).figures["video_hit_at_1"] == 0.5


def test_a_result_has_empty_cells_for_what_is_not_known_or_always_1():
    known = NetworkResult("n", judged(0, 0, 1, 1), params=1_500_000, macs=2_000_000_000, clips_per_s=12.34)
    assert known.cells() == ["n", "100.0%", "100.0%", "39.8-100.0", "", "100.0%", "1.50M", "2.000", "12.3"]
    assert NetworkResult("n", judged(0, 0, 1, 1)).cells()[-3:] == ["", "", ""]
    assert known.to_json() | {"interval": 0, "intervals": 0, "interval_methods": 0} == {
        "name": "n", "clip_hit_at_1": 1, "video_hit_at_1": 1, "video_hit_at_5": 1, "macro_f1": 1, "interval": 0,
        "intervals": 0, "interval_methods": 0, "params": 1_500_000, "macs": 2_000_000_000, "clips_per_s": 12.34,
        "checkpoint": None,
    }  # fmt: skip


def test_the_best_network_is_named_with_its_command():
    found = comparison(poor=judged(*[0] * 40), good=judged(*[0] * 20, *[1] * 20))
    assert found.best.name == "good"
    assert shlex.split(found.predict_command) == ["kinema", "predict", "videos/a b.mp4", "--model", "runs/my run/good"]
    assert found.verdict()[:2] == [
        "Best: good, video hit@1 100.0%",
        "It is better than each of the others on these videos (p=1.9e-06 or less)",
    ]
    assert [row[:3] for row in found.rows()[-2:]] == [["largest class", "50.0%", "50.0%"], ["chance", "50.0%", "50.0%"]]


def test_networks_that_cannot_be_told_apart_are_named_and_the_cheapest_of_them():
    right = [*[0] * 20, *[1] * 20]
    found = comparison(best=judged(*right), like=judged(1, *right[1:]), poor=judged(*[0] * 40))
    lines = found.verdict()
    assert lines[1] == "These videos cannot tell it from: like (2.5 points lower, p=1)"
    assert lines[2] == "The cheapest of these networks: like"
    document = json.loads(json.dumps(found.to_json()))
    assert document["best"] == "best"
    assert [one["distinguishable"] for one in document["differences"]] == [False, True]
    assert document["baseline"]["label"] == "a"


def test_of_equals_the_cheaper_network_is_the_best():
    assert comparison(dear=judged(0, 0, 1, 1), cheap=judged(0, 0, 1, 1)).best.name == "cheap"


@pytest.mark.parametrize("suffix", ["json", "csv"])
def test_files_have_the_networks_their_average_and_the_baselines(tmp_path, suffix):
    write_comparison(comparison(one=judged(0, 1, 1, 1), two=judged(0, 0, 1, 1)), tmp_path)
    text = (tmp_path / f"compare.{suffix}").read_text()
    assert all(name in text for name in ("one", "two", "average of all"))
    page = (tmp_path / "report.html").read_text()
    assert all(
        part in page for part in ("Best: two", "kinema predict", "largest class", "sign-flip test", "n = 4 videos")
    )
