"""One training by `fit`: a result to use in Python, and no output."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kinema.datasets import open_data
from kinema.errors import DataError
from kinema.runs.config import TrainConfig
from kinema.runs.fit import fit, hardly_learned
from kinema.runs.task import CLASS_COUNTS
from kinema.training.state import EpochRow
from kinema.weights.checkpoint import ModelCard


def config(folder: Path, **settings: object) -> TrainConfig:
    fast = {"epochs": 1, "batch_size": 8, "workers": 0, "size": "24", "precision": "f32", "valid_clips": 2}
    return TrainConfig(model="single_frame_tiny", out=str(folder), **{**fast, **settings})


def test_fit_returns_its_result_and_prints_nothing(motion_folder, tmp_path, capfd):
    data = open_data(motion_folder)
    trained = fit(data, config(tmp_path / "run"), tmp_path / "run")
    assert capfd.readouterr() == ("", "")
    assert (trained.folder, trained.broken) == (tmp_path / "run", {})
    assert trained.evaluation.num_videos == len(data.part("valid")) == 16
    assert trained.evaluation.protocol == "2x1"
    assert trained.clips_per_s > 0
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary == dict(trained.summary)


def test_wrong_data_leaves_no_folder(motion_folder, tmp_path):
    data = open_data(motion_folder)
    one = data.with_examples([data.part("train").examples[0], *data.part("valid").examples])
    with pytest.raises(DataError, match="at least two examples"):
        fit(one, config(tmp_path / "run"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def history(*losses: float) -> list[EpochRow]:
    return [{"epoch": epoch, "train_loss": loss} for epoch, loss in enumerate(losses)]


def test_a_run_that_never_does_better_than_guessing_says_so():
    card = ModelCard("single_frame_tiny", {}, ("a", "b", "c", "d"), data={CLASS_COUNTS: [10, 10, 10, 10]})
    stuck = hardly_learned(history(1.40, 1.386, 1.385), card)
    assert stuck == "the training loss (1.385) stayed at that of guessing (1.386): the network has learned nothing yet"
    assert hardly_learned(history(1.40, 1.3, 1.2), card) == ""
    # Naming the largest class is guessing too: 0.9 and 0.1 have an entropy of 0.325.
    uneven = replace(card, labels=("a", "b"), data={CLASS_COUNTS: [9, 1]})
    assert hardly_learned(history(0.6, 0.4, 0.33), uneven)
    assert not hardly_learned(history(0.6, 0.4, 0.2), uneven)
    assert not hardly_learned(history(1.4), card)  # one epoch says nothing
    # Several labels a video have another loss; older cards have no counts.
    assert not hardly_learned(history(1.4, 1.4, 1.4), replace(card, multi_label=True))
    assert not hardly_learned(history(1.4, 1.4, 1.4), replace(card, data={}))


def test_the_remark_is_logged_and_kept(motion_folder, tmp_path, caplog):
    data = open_data(motion_folder)
    trained = fit(data, config(tmp_path / "run", lr=1e-9, epochs=3), tmp_path / "run")
    assert "learned nothing" in caplog.text
    assert trained.summary["learned"] is False
