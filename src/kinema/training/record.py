"""The files of a run: checkpoints, a table of figures with a row an epoch, curves, TensorBoard files."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from kinema import charts, formats
from kinema.errors import MissingExtra
from kinema.files import write_text
from kinema.models.network import Network
from kinema.training.state import EpochRow, TrainingState
from kinema.weights.checkpoint import ModelCard, save_checkpoint

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter


class TrainingDisplay(Protocol):
    """Displays the progress of a run."""

    def step(self, state: TrainingState, num_batches: int, loss: float) -> None:
        """An optimiser step was taken."""

    def epoch(self, row: EpochRow, better: bool) -> None:
        """An epoch is over; `better` if it is the best so far."""


class Recorder:
    """Writes `best/`, `last/`, `epochs.csv`, `curves.png` and TensorBoard files into the folder of a run.

    Raises:
        MissingExtra: `tensorboard` is set and not installed.
    """

    WRITE_EVERY_S = 10.0
    """Shortest time between two writes of `last/` and the curves, which can take longer than an epoch."""

    def __init__(
        self, folder: Path, card: ModelCard, display: TrainingDisplay | None = None, tensorboard: bool = False
    ) -> None:
        self.folder, self.card, self.display = folder, card, display
        self.written_at = -math.inf
        self.board: SummaryWriter | None = None
        if tensorboard:
            try:
                from torch.utils.tensorboard.writer import SummaryWriter
            except ImportError as error:
                raise MissingExtra("TensorBoard files", "tensorboard", "tensorboard") from error
            self.board = SummaryWriter(str(folder / "tensorboard"))

    def batch_done(self, state: TrainingState, num_batches: int, loss: float) -> None:
        """Display the step."""
        if self.display:
            self.display.step(state, num_batches, loss)

    def epoch_done(self, state: TrainingState, row: EpochRow, network: Network, better: bool) -> None:
        """Save the checkpoints and figures of an epoch."""
        metrics = {name.removeprefix("valid_"): value for name, value in row.items() if name.startswith("valid_")}
        card = replace(self.card, metrics=metrics, training={**self.card.training, "epoch": int(row["epoch"])})
        if better:
            save_checkpoint(self.folder / "best", network, card)
        if state.finished or time.monotonic() - self.written_at > self.WRITE_EVERY_S:
            save_checkpoint(self.folder / "last", network, card)
            charts.save_figure(charts.curves(state.history), self.folder / "curves.png")
            self.written_at = time.monotonic()
        names = list(dict.fromkeys(name for row in state.history for name in row))
        rows = [[f"{epoch[name]:.6g}" if name in epoch else "" for name in names] for epoch in state.history]
        write_text(self.folder / "epochs.csv", formats.table_csv(names, rows))
        if self.board is not None:
            for name, value in row.items():
                self.board.add_scalar(name, value, int(row["epoch"]))
            self.board.flush()
        if self.display:
            self.display.epoch(row, better)
