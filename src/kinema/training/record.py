"""What a run leaves behind and shows while it goes on: checkpoints, figures a table an epoch, curves, a progress bar."""

from __future__ import annotations

import math
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from kinema import charts, formats
from kinema.errors import MissingExtra
from kinema.files import write_text
from kinema.models.checkpoint import ModelCard, save_checkpoint
from kinema.models.network import Network
from kinema.training.state import EpochRow, Progress

SHOWN = (
    "train_loss",
    "train_clip_hit_at_1",
    "valid_loss",
    "valid_video_hit_at_1",
    "valid_frame_accuracy",
    "valid_macro_f1",
)


class Display:
    """A progress bar with the time left on a terminal, plain lines elsewhere; all on standard error."""

    PLAIN_EVERY_S = 30.0

    def __init__(self, title: str, epochs: int) -> None:
        self.title, self.epochs = title, epochs
        self.console = Console(stderr=True)
        self.bar: Bar | None = None
        self.last_line = time.monotonic()
        if self.console.is_terminal:
            self.bar = Bar(
                TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                TextColumn("{task.fields[note]}", markup=False), console=self.console,
            )  # fmt: skip
            self.task = self.bar.add_task(title, total=None, note="")

    def __enter__(self) -> Display:
        if self.bar:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar:
            self.bar.stop()

    def step(self, progress: Progress, num_batches: int, loss: float) -> None:
        """An optimiser step was taken."""
        note = f"epoch {progress.epoch + 1}/{self.epochs}  loss {loss:.3f}"
        if self.bar:
            self.bar.update(self.task, total=self.epochs * num_batches, completed=progress.step, note=note)
        elif time.monotonic() - self.last_line > self.PLAIN_EVERY_S:
            self.line(f"{self.title}: {note}  batch {progress.batch}/{num_batches}")

    def epoch(self, row: EpochRow, better: bool) -> None:
        """An epoch is over."""
        figures = "  ".join(f"{name.replace('valid_', '')} {row[name]:.3f}" for name in SHOWN if name in row)
        pace = f"{row['clips_per_s']:.1f} clips/s  waiting {row['waiting_share']:.0%}"
        self.line(
            f"{self.title}: epoch {int(row['epoch'])}/{self.epochs}  {figures}  {pace}{'  best' if better else ''}"
        )

    def line(self, text: str) -> None:
        """Print one line above the bar."""
        self.last_line = time.monotonic()
        if self.bar:
            self.console.print(text, highlight=False, markup=False)
        else:
            print(text, file=sys.stderr, flush=True)


class Recorder:
    """Listens to a run: keeps `best/`, `last/`, `epochs.csv`, `curves.png` and TensorBoard files in its folder.

    Raises:
        MissingExtra: `tensorboard` was asked for and is not installed.
    """

    WRITE_EVERY_S = 10.0
    """`last/` and the curves are written at most so often, and in the end: both can take longer than an epoch."""

    def __init__(
        self, folder: Path, card: ModelCard, display: Display | None = None, tensorboard: bool = False
    ) -> None:
        self.folder, self.card, self.display = folder, card, display
        self.written_at = -math.inf
        self.board: Any = None
        if tensorboard:
            try:
                from torch.utils.tensorboard.writer import SummaryWriter
            except ImportError as error:
                raise MissingExtra("TensorBoard files", "tensorboard", "tensorboard") from error
            self.board = SummaryWriter(str(folder / "tensorboard"))

    def batch_done(self, progress: Progress, num_batches: int, loss: float) -> None:
        """Show the step."""
        if self.display:
            self.display.step(progress, num_batches, loss)

    def epoch_done(self, progress: Progress, row: EpochRow, network: Network, better: bool) -> None:
        """Save the checkpoints and figures of an epoch."""
        metrics = {name.removeprefix("valid_"): value for name, value in row.items() if name.startswith("valid_")}
        card = replace(self.card, metrics=metrics, training={**self.card.training, "epoch": int(row["epoch"])})
        if better:
            save_checkpoint(self.folder / "best", network, card)
        if progress.finished or time.monotonic() - self.written_at > self.WRITE_EVERY_S:
            save_checkpoint(self.folder / "last", network, card)
            charts.save_figure(charts.curves(progress.history), self.folder / "curves.png")
            self.written_at = time.monotonic()
        self._table(progress.history)
        if self.board is not None:
            for name, value in row.items():
                self.board.add_scalar(name, value, int(row["epoch"]))
            self.board.flush()
        if self.display:
            self.display.epoch(row, better)

    def _table(self, history: list[EpochRow]) -> None:
        names = list(dict.fromkeys(name for row in history for name in row))
        rows = [[f"{row[name]:.6g}" if name in row else "" for name in names] for row in history]
        write_text(self.folder / "epochs.csv", formats.table_csv(names, rows))
