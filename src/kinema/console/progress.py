"""Progress bars on standard error: counts, downloads, and training. Where that is no terminal, plain lines or nothing."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from kinema.console.tables import bar_columns, plain_console
from kinema.runs.progress import Advance, Downloaded, Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from kinema.models.network import Network
    from kinema.training.state import EpochRow
    from kinema.training.state import Progress as TrainingState
    from kinema.weights.checkpoint import ModelCard

log = logging.getLogger("kinema")

SHOWN = (
    "train_loss",
    "train_clip_hit_at_1",
    "valid_loss",
    "valid_video_hit_at_1",
    "valid_frame_accuracy",
    "valid_macro_f1",
)
"""Figures of an epoch that its line shows, where there are any."""


class TerminalProgress(Progress):
    """Bars on a terminal; elsewhere training and downloads print lines, and counts nothing."""

    @contextmanager
    def count(self, title: str, total: int) -> Iterator[Advance]:
        """A bar with the number of items done and the time left."""
        from rich.progress import MofNCompleteColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        console = plain_console(stderr=True)
        if not (total and console.is_terminal):
            yield lambda count: None
            return
        columns = bar_columns(MofNCompleteColumn(), TimeRemainingColumn())
        with Bar(*columns, console=console, transient=True) as bar:
            task = bar.add_task(title, total=total)
            yield lambda count: bar.advance(task, count)

    @contextmanager
    def download(self, name: str) -> Iterator[Downloaded]:
        """A bar once a download begins; a line where standard error is no terminal."""
        from rich.progress import DownloadColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        console = plain_console(stderr=True)
        columns = bar_columns(DownloadColumn(), TimeRemainingColumn())
        with ExitStack() as stack:
            bar: Bar | None = None

            def move(done: int, total: int) -> None:
                nonlocal bar
                if bar is None:
                    if not console.is_terminal:
                        log.info("downloading the weights of %s%s", name, f" ({total / 1e6:.0f} MB)" if total else "")
                    bar = Bar(*columns, console=console, transient=True, disable=not console.is_terminal)
                    stack.enter_context(bar).add_task(f"downloading {name}")
                bar.update(bar.task_ids[0], completed=done, total=total or None)

            yield move

    @contextmanager
    def training(self, title: str, epochs: int) -> Iterator[TrainingBar]:
        """A bar over all epochs, and a line for each that is over."""
        display = TrainingBar(title, epochs)
        if display.bar:
            with display.bar:
                yield display
        else:
            yield display


class TrainingBar:
    """A bar with the time left on a terminal, a line every half a minute elsewhere."""

    PLAIN_EVERY_S = 30.0

    def __init__(self, title: str, epochs: int) -> None:
        from rich.progress import MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self.title, self.epochs = title, epochs
        self.console = plain_console(stderr=True)
        self.bar: Bar | None = None
        self.last_line = time.monotonic()
        if self.console.is_terminal:
            note = TextColumn("{task.fields[note]}", markup=False)
            self.bar = Bar(*bar_columns(MofNCompleteColumn(), TimeRemainingColumn(), note), console=self.console)
            self.task = self.bar.add_task(title, total=None, note="")

    def step(self, progress: TrainingState, num_batches: int, loss: float) -> None:
        """An optimiser step was taken."""
        note = f"epoch {progress.epoch + 1}/{self.epochs}  loss {loss:.3f}"
        if self.bar:
            self.bar.update(self.task, total=self.epochs * num_batches, completed=progress.step, note=note)
        elif time.monotonic() - self.last_line > self.PLAIN_EVERY_S:
            self._line(f"{self.title}: {note}  batch {progress.batch}/{num_batches}")

    def epoch(self, row: EpochRow, better: bool) -> None:
        """An epoch is over."""
        figures = "  ".join(f"{name.replace('valid_', '')} {row[name]:.3f}" for name in SHOWN if name in row)
        pace = f"{row['clips_per_s']:.1f} clips/s  waiting {row['waiting_share']:.0%}"
        self._line(
            f"{self.title}: epoch {int(row['epoch'])}/{self.epochs}  {figures}  {pace}{'  best' if better else ''}"
        )

    def _line(self, text: str) -> None:
        """Print one line above the bar."""
        self.last_line = time.monotonic()
        if self.bar:
            self.console.print(text)
        else:
            print(text, file=sys.stderr, flush=True)


def open_trained(model: str) -> tuple[Network, ModelCard]:
    """A trained network, in evaluation mode, and its card, with a bar if published weights are downloaded.

    Args:
        model: a checkpoint folder, a run folder with best/ in it, or the name of published weights.

    Raises:
        CheckpointError: there is nothing of that name, or it cannot be used.
        DownloadError: published weights cannot be fetched.
    """
    from kinema.weights.open import load_trained

    with TerminalProgress().download(model) as downloaded:
        return load_trained(model, downloaded)
