"""Networks of earlier runs: found, named, and kept from videos that they have seen."""

from __future__ import annotations

import pytest

from kinema.errors import CheckpointError
from kinema.runs.unseen import free_name, list_checkpoints, training_speed


def test_checkpoints_are_found_in_runs_and_in_folders_of_runs(runs):
    both = [runs / "a" / "best", runs / "b" / "best"]
    assert list_checkpoints([str(runs)]) == both
    assert list_checkpoints([str(runs / "a"), str(runs)]) == both
    assert list_checkpoints([str(runs / "a" / "last")]) == [runs / "a" / "last"]
    with pytest.raises(CheckpointError, match="no checkpoint"):
        list_checkpoints([str(runs / "none")])


def test_a_name_that_is_taken_gets_a_number(tmp_path):
    assert free_name(tmp_path / "run" / "best", set()) == "run"
    assert free_name(tmp_path / "run" / "last", {"run"}) == "run-2"
    assert free_name(tmp_path / "alone", {"alone", "alone-2"}) == "alone-3"


def test_training_speed_comes_from_the_summary_of_the_run(tmp_path):
    assert training_speed(tmp_path / "best") is None
    (tmp_path / "summary.json").write_text('{"clips_per_s": 12.5}')
    assert training_speed(tmp_path / "best") == 12.5
