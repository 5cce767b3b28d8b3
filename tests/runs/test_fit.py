"""One training by `fit`: a result to use in Python, and no output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kinema.datasets import open_data
from kinema.errors import DataError
from kinema.runs.config import TrainConfig
from kinema.runs.fit import fit


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
