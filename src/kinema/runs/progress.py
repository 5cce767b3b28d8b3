"""How jobs tell how far they are. Nothing is printed here: `kinema.console.progress` draws bars on a terminal."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kinema.training.record import TrainingDisplay

Advance = Callable[[int], None]
"""Called with the number of items done since the last call."""

Downloaded = Callable[[int, int], None]
"""Called with the bytes that are there, and all there will be (0: not known)."""


class Progress:
    """Tells nobody. Subclasses show what they are told; each method gives a block within which the work is done."""

    def count(self, title: str, total: int) -> AbstractContextManager[Advance]:
        """Work on so many items begins."""
        return nullcontext(lambda count: None)

    def download(self, name: str) -> AbstractContextManager[Downloaded]:
        """Published weights may be downloaded."""
        return nullcontext(lambda done, total: None)

    def training(self, title: str, epochs: int) -> AbstractContextManager[TrainingDisplay | None]:
        """A network begins to learn."""
        return nullcontext(None)


SILENT = Progress()
