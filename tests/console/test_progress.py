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
        bar.epoch({**ROW, "valid_an_error": 0.125}, better=True)
    figures = "loss 0.500  valid loss 0.250  macro F1 1.000  an_error 0.125"
    assert capsys.readouterr().err == f"net\n  epoch 2/5  {figures}  best\n"


def test_the_line_of_an_epoch_fits_80_columns_and_shows_more_on_a_wide_terminal(capsys, monkeypatch):
    row = {**ROW, "epoch": 123, "valid_video_hit_at_1": 0.875, "clips_per_s": 12345.6}
    with TerminalProgress().training("a network with a very long name", 300) as bar:
        bar.epoch(row, better=True)
    title, line = capsys.readouterr().err.splitlines()
    assert (title, len(line) <= 80, line.endswith("best")) == ("a network with a very long name", True, True)
    screen = terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", "120")
    with TerminalProgress().training("net", 300) as bar:
        bar.epoch(row, better=True)
    assert "12345.6 clips/s  waiting 50%  best" in screen.getvalue()


def test_steps_print_a_line_now_and_then_without_a_terminal(capsys, monkeypatch):
    bar = TrainingBar("net", 5)
    bar.step(TrainingState(batch=3), 7, 0.5)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(TrainingBar, "PLAIN_EVERY_S", -1.0)
    bar.step(TrainingState(batch=3), 7, 0.5)
    assert capsys.readouterr().err == "net\n  epoch 1/5  loss 0.500  batch 3/7\n"


def test_training_is_a_bar_on_a_terminal_with_lines_above_it(monkeypatch):
    screen = terminal(monkeypatch)
    with TerminalProgress().training("net", 2) as bar:
        bar.step(TrainingState(step=1, batch=1), 2, 0.5)
        bar.epoch(ROW, better=False)
    assert "1/4" in screen.getvalue()
    assert "epoch 2/2" in screen.getvalue()


def test_results_in_a_file_stay_there_while_a_bar_is_on_the_terminal(monkeypatch, capsys):
    screen = terminal(monkeypatch)
    with TerminalProgress().count("work", 2) as advance:
        print("a result")
        advance(1)
    assert capsys.readouterr().out == "a result\n"
    assert "a result" not in screen.getvalue()
