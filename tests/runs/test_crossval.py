"""Figures over the folds of a cross-validation, without trainings."""

from __future__ import annotations

import numpy as np
import pytest

from kinema.errors import ConfigError
from kinema.evaluation import Evaluation, Failed, VideoScores, evaluate_scores
from kinema.labels import Labels
from kinema.runs.crossval import CrossvalConfig, Folds, pool, table_rows, write_folds

LABELS = Labels(("a", "b"))


def fold(number: int, hits: int) -> Evaluation:
    """Two videos, of which some are right, and a third that could not be read."""
    scores = np.eye(2, dtype=np.float32)
    videos = [VideoScores(f"{number}-{n}.mp4", n, scores[[n if n < hits else 1 - n]]) for n in range(2)]
    return evaluate_scores(videos, LABELS, failures=[Failed(f"{number}-bad.mp4", "damaged")])


def folds() -> Folds:
    each = (fold(1, 2), fold(2, 1))
    return Folds(each, pool(each))


def test_every_video_is_in_the_pooled_figures_once():
    found = folds()
    assert (found.pooled.num_videos, found.pooled.num_failed) == (4, 2)
    assert found.pooled.figures["video_hit_at_1"] == 0.75
    spread = found.spread()["video_hit_at_1"]
    assert (spread.mean, spread.folds) == (0.75, (1.0, 0.5))
    assert spread.sd == pytest.approx(0.5 / 2**0.5)


def test_rows_name_figures_mean_deviation_and_pooled_figure():
    rows = {row[0]: row[1:] for row in table_rows(folds())}
    assert rows["Video hit@1"][:2] == ["0.750 ± 0.354", "0.750"]


def test_the_folder_gets_a_summary_a_report_and_an_evaluation(tmp_path):
    write_folds(tmp_path, folds(), {"model": "m"})
    names = {"summary.json", "report.html", "evaluation.json", "per_class.csv", "predictions.csv"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert "2 folds" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"folds": 1}, "--folds"),
        ({"each_step": True}, "--each-step"),
        ({"task": "frame"}, "--task frame"),
        ({"valid_groups": ("a",)}, "--valid-groups a"),
    ],
)
def test_settings_without_a_meaning_for_folds_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        CrossvalConfig(model="single_frame_tiny", **settings)
