"""The files that a run writes while it goes on."""

from __future__ import annotations

import csv
import sys

import pytest

from kinema import models
from kinema.errors import MissingExtra
from kinema.training.record import Recorder
from kinema.training.state import TrainingState
from kinema.weights.checkpoint import ModelCard, read_card


class Display:
    def __init__(self) -> None:
        self.seen: list[object] = []

    def step(self, state, num_batches, loss) -> None:
        self.seen.append(loss)

    def epoch(self, row, better) -> None:
        self.seen.append(better)


def test_an_epoch_leaves_checkpoints_a_table_and_curves(tmp_path):
    network = models.build("single_frame_tiny", num_classes=2)
    display = Display()
    recorder = Recorder(tmp_path, ModelCard.of(network, ("a", "b")), display)
    first = {"epoch": 1.0, "train_loss": 0.5, "valid_macro_f1": 0.25}
    second = {"epoch": 2.0, "train_loss": 0.4, "valid_macro_f1": 0.2, "valid_loss": 1.0}
    recorder.batch_done(TrainingState(), 3, 0.5)
    recorder.epoch_done(TrainingState(history=[first]), first, network, better=True)
    recorder.epoch_done(TrainingState(history=[first, second], finished=True), second, network, better=False)
    rows = list(csv.DictReader((tmp_path / "epochs.csv").read_text().splitlines()))
    assert [row["valid_loss"] for row in rows] == ["", "1"]
    best, last = read_card(tmp_path / "best"), read_card(tmp_path / "last")
    assert (best.metrics, best.training["epoch"]) == ({"macro_f1": 0.25}, 1)
    assert (last.metrics["macro_f1"], last.training["epoch"]) == (0.2, 2)
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert display.seen == [0.5, True, False]


def test_tensorboard_that_is_not_installed_names_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard.writer", None)
    network = models.build("single_frame_tiny", num_classes=2)
    with pytest.raises(MissingExtra, match="tensorboard"):
        Recorder(tmp_path, ModelCard.of(network, ("a", "b")), tensorboard=True)
