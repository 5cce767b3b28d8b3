"""How long-running functions report progress. Nothing is printed here: `kinema.console.progress` draws bars on a terminal."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kinema.training.record import TrainingDisplay

Advance = Callable[[int], None]
"""Called with the number of items done since the last call."""

Downloaded = Callable[[int, int], None]
"""Called with the bytes downloaded so far and the bytes in all (0: not known)."""


class Progress:
    """Reports nothing; subclasses display what they receive. Each method returns a block in which the work is done."""

    def count(self, title: str, total: int) -> AbstractContextManager[Advance]:
        """Start to count `total` items."""
        return nullcontext(lambda count: None)

    def download(self, name: str) -> AbstractContextManager[Downloaded]:
        """Start a block in which the published weights `name` may be downloaded."""
        return nullcontext(lambda done, total: None)

    def training(self, title: str, epochs: int) -> AbstractContextManager[TrainingDisplay | None]:
        """Start the training of a network."""
        return nullcontext(None)


SILENT = Progress()
