"""Progress bars on standard error: counts, downloads and training. If it is no terminal, plain lines or nothing."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING

from kinema.console.tables import GAP, bar_columns, fitting, plain_console
from kinema.runs.progress import Advance, Downloaded, Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from kinema.models.network import Network
    from kinema.training.state import EpochRow, TrainingState
    from kinema.weights.checkpoint import ModelCard

log = logging.getLogger("kinema")

SHOWN = {
    "train_loss": "loss",
    "valid_loss": "valid loss",
    "valid_video_hit_at_1": "hit@1",
    "valid_frame_accuracy": "frame accuracy",
    "valid_macro_f1": "macro F1",
    "valid_average_map": "average mAP",
    "valid_map_at_0.5": "mAP@0.5",
}
"""Figures in the line of an epoch, in this order, and their short names; figures of other tasks follow."""

PLAIN_WIDTH = 80
"""Columns of an epoch's line if standard error is no terminal; epochs.csv has all figures."""


class TerminalProgress(Progress):
    """Bars on a terminal. If standard error is no terminal, training and downloads print lines, and counts print nothing."""

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
        with Bar(*columns, console=console, transient=True, expand=True, redirect_stdout=sys.stdout.isatty()) as bar:
            task = bar.add_task(title, total=total)
            yield lambda count: bar.advance(task, count)

    @contextmanager
    def download(self, name: str) -> Iterator[Downloaded]:
        """A bar when a download begins; a line if standard error is no terminal."""
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
                    bar = Bar(
                        *columns,
                        console=console,
                        transient=True,
                        disable=not console.is_terminal,
                        redirect_stdout=sys.stdout.isatty(),
                    )
                    stack.enter_context(bar).add_task(f"downloading {name}")
                bar.update(bar.task_ids[0], completed=done, total=total or None)

            yield move

    @contextmanager
    def training(self, title: str, epochs: int) -> Iterator[TrainingBar]:
        """A bar over all epochs, and a line after each epoch."""
        display = TrainingBar(title, epochs)
        with display.bar or nullcontext():
            yield display


class TrainingBar:
    """A bar with the time left on a terminal, otherwise a line every half a minute."""

    PLAIN_EVERY_S = 30.0

    def __init__(self, title: str, epochs: int) -> None:
        from rich.progress import MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self.title, self.epochs = title, epochs
        self.console = plain_console(stderr=True)
        self.bar: Bar | None = None
        self.last_line = time.monotonic()
        self.has_title = False
        if self.console.is_terminal:
            note = TextColumn("{task.fields[note]}", markup=False)
            columns = bar_columns(MofNCompleteColumn(), TimeRemainingColumn(), note)
            self.bar = Bar(
                *columns, console=self.console, transient=True, expand=True, redirect_stdout=sys.stdout.isatty()
            )
            self.task = self.bar.add_task(title, total=None, note="")

    def step(self, state: TrainingState, num_batches: int, loss: float) -> None:
        """An optimiser step was taken."""
        note = f"epoch {state.epoch + 1}/{self.epochs}  loss {loss:.3f}"
        if self.bar:
            self.bar.update(self.task, total=self.epochs * num_batches, completed=state.step, note=note)
        elif time.monotonic() - self.last_line > self.PLAIN_EVERY_S:
            self._line(f"  {note}  batch {state.batch}/{num_batches}")

    def epoch(self, row: EpochRow, better: bool) -> None:
        """An epoch was trained and validated: one line with what fits, the speed last."""
        from kinema.evaluation.judgement import FIGURE_NAMES

        others = {name for name in row if name.startswith("valid_") and name.removeprefix("valid_") not in FIGURE_NAMES}
        names = SHOWN | {name: name.removeprefix("valid_") for name in sorted(others - set(SHOWN))}
        parts = [(0, f"  epoch {int(row['epoch']):{len(str(self.epochs))}}/{self.epochs}")]
        parts += [
            (place, f"{short} {row[name]:.3f}") for place, (name, short) in enumerate(names.items(), 1) if name in row
        ]
        parts += [(98, f"{row['clips_per_s']:.1f} clips/s"), (99, f"waiting {row['waiting_share']:.0%}")]
        parts += [(1, "best")] if better else []
        room = self.console.width if self.bar else PLAIN_WIDTH
        shown = fitting([rank for rank, _ in parts], [len(text) for _, text in parts], room)
        self._line((" " * GAP).join(parts[place][1] for place in shown))

    def _line(self, text: str) -> None:
        """Print one line above the bar, below a line with the title."""
        self.last_line = time.monotonic()
        for line in [text] if self.has_title else [self.title, text]:
            if self.bar:
                self.console.print(line, soft_wrap=True)
            else:
                print(line, file=sys.stderr, flush=True)
        self.has_title = True


def open_trained(model: str) -> tuple[Network, ModelCard]:
    """Open a trained network, in evaluation mode, and its card, with a bar if published weights are downloaded.

    Args:
        model: a checkpoint folder, a run folder with best/ in it, or the name of published weights.

    Raises:
        CheckpointError: there is no checkpoint or published weights of that name, or they cannot be used.
        DownloadError: published weights cannot be downloaded.
    """
    from kinema.weights.open import load_trained

    with TerminalProgress().download(model) as downloaded:
        return load_trained(model, downloaded)
