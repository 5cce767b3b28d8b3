"""The choice of the videos that judge a network, and the judgement of any task."""

from __future__ import annotations

import shlex

import pytest

from kinema.errors import DataError
from kinema.runs.judge import choose_part, kept_back, open_for
from kinema.weights.checkpoint import ModelCard

CONFIG = {"device": "cpu", "workers": 0, "precision": "f32"}


def test_part_is_chosen_by_name_or_the_first_held_out_one(light_and_dark) -> None:
    card = ModelCard("brightness", {}, ("dark", "light"))
    data = open_for(card, str(light_and_dark))
    assert {e.split for e in choose_part(data, "auto").examples} == {"valid"}
    assert {e.split for e in choose_part(data, "train").examples} == {"train"}
    assert len(choose_part(data, "all").examples) == 12
    assert len(choose_part(open_for(card, str(light_and_dark / "valid")), "auto").examples) == 6
    with pytest.raises(DataError, match="no test part"):
        choose_part(data, "test")


def test_what_is_kept_back_is_named_by_a_command_that_can_be_pasted(tmp_path):
    run = tmp_path / "my run"
    run.mkdir()
    (run / "split.csv").touch()
    command = kept_back(run / "best").split("`")[1]
    assert shlex.split(command) == ["kinema", "evaluate", f"{run}/best", f"{run}/split.csv", "--split", "valid"]
