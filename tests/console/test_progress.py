"""Bars on a terminal; elsewhere lines for trainings and downloads, and nothing for counts."""

from __future__ import annotations

import io
import sys

import pytest

from kinema.console.progress import TerminalProgress, TrainingBar
from kinema.training.state import TrainingState

ROW = {
    "epoch": 2, "train_loss": 0.5, "valid_loss": 0.25, "valid_macro_f1": 1.0, "valid_clip_hit_at_1": 0.75,
    "clips_per_s": 12.34, "waiting_share": 0.5,
}  # fmt: skip


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Standard error from now on."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    found = Terminal()
    monkeypatch.setattr(sys, "stderr", found)
    return found


def test_without_a_terminal_counts_print_nothing_and_downloads_one_line(capsys, caplog):
    caplog.set_level("INFO", "kinema")
    with TerminalProgress().count("work", 3) as advance:
        advance(3)
    assert capsys.readouterr() == ("", "")
    with TerminalProgress().download("r3d_18") as downloaded:
        downloaded(1_000_000, 5_000_000)
        downloaded(5_000_000, 5_000_000)
    assert caplog.messages == ["downloading the weights of r3d_18 (5 MB)"]


def test_counts_are_bars_on_a_terminal(monkeypatch):
    screen = terminal(monkeypatch)
    with TerminalProgress().count("work [x]", 3) as advance:
        advance(2)
    assert "work [x]" in screen.getvalue()
    assert "2/3" in screen.getvalue()


def test_the_line_of_an_epoch_shows_known_figures_in_order_and_those_of_other_tasks(capsys):
    with TerminalProgress().training("net", 5) as bar:
        bar.epoch({**ROW, "valid_mean_absolute_error": 0.125}, better=True)
    expected = "net: epoch 2/5  train_loss 0.500  loss 0.250  macro_f1 1.000  mean_absolute_error 0.125"
    assert capsys.readouterr().err == f"{expected}  12.3 clips/s  waiting 50%  best\n"


def test_steps_print_a_line_now_and_then_without_a_terminal(capsys, monkeypatch):
    bar = TrainingBar("net", 5)
    bar.step(TrainingState(batch=3), 7, 0.5)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(TrainingBar, "PLAIN_EVERY_S", -1.0)
    bar.step(TrainingState(batch=3), 7, 0.5)
    assert capsys.readouterr().err == "net: epoch 1/5  loss 0.500  batch 3/7\n"


def test_training_is_a_bar_on_a_terminal_with_lines_above_it(monkeypatch):
    screen = terminal(monkeypatch)
    with TerminalProgress().training("net", 2) as bar:
        bar.step(TrainingState(step=1, batch=1), 2, 0.5)
        bar.epoch(ROW, better=False)
    assert "1/4" in screen.getvalue()
    assert "epoch 2/2" in screen.getvalue()
