from __future__ import annotations

import json
from pathlib import Path

import pytest

from kinema.recipes.watch import WatchConfig, watch


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    from kinema import models
    from kinema.models.checkpoint import ModelCard, save_checkpoint

    folder = tmp_path_factory.mktemp("run") / "best"
    network = models.build("single_frame_tiny", num_classes=2)
    save_checkpoint(folder, network, ModelCard.of(network, ("dark", "light")))
    return str(folder)


def test_a_file_is_watched_as_if_it_were_live(checkpoint, short_video: Path, capsys) -> None:
    assert watch(str(short_video), WatchConfig(model=checkpoint, device="cpu", json=True)) == 0
    printed = capsys.readouterr()
    lines = [json.loads(line) for line in printed.out.splitlines()]
    assert lines
    assert set(lines[0]) == {"time_s", "top", "latency_s", "dropped"}
    assert "1 prediction, median latency" in printed.err


def test_watching_stops_after_the_time_given(checkpoint, counting_video: Path, capsys) -> None:
    assert watch(str(counting_video), WatchConfig(model=checkpoint, device="cpu", json=True, seconds=0.5)) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert 0.5 <= lines[-1]["time_s"] < 3.0
