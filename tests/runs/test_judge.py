"""The choice of the videos that judge a network, and the judgement of any task."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kinema.errors import DataError
from kinema.runs.judge import choose_part, kept_back, open_for
from kinema.weights.checkpoint import ModelCard

CONFIG = {"device": "cpu", "workers": 0, "precision": "f32"}


@pytest.fixture(scope="module")
def light_and_dark(tmp_path_factory, write_frames: Callable[..., Path]) -> Path:
    """train and valid parts, two classes, three films each."""
    root = tmp_path_factory.mktemp("light_and_dark")
    for part in ("train", "valid"):
        for label, level in (("dark", 20), ("light", 220)):
            (root / part / label).mkdir(parents=True)
            for number in range(3):
                frames = [np.full((48, 64, 3), level + number + i % 3, np.uint8) for i in range(12)]
                write_frames(root / part / label / f"{number}.mp4", frames)
    return root


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
