"""Scores of interleaved films put together: predictions come out in the order in which the films were given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from kinema.errors import KinemaError
from kinema.inference.outcome import Failure
from kinema.inference.sources import Clips, Frames, Item, Opened

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.inference.gathering import Row
    from kinema.types import Prediction

Conclude = Callable[[str, Opened, str, "NDArray[np.float32]"], "Prediction"]


@dataclass(slots=True)
class Film:
    """What is known of one film so far: sums of scores over the views of each window."""

    opened: Opened | None = None
    sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    read: bool = False
    damage: str = ""
    error: KinemaError | None = None
    waiting: int = 0
    """Clips that were read and not scored yet."""

    def add(self, window: int, scores: NDArray[np.float32]) -> None:
        """Note the scores [v classes] of a clip's views, or [v t classes] at each of its frames."""
        assert self.opened is not None
        rows: Any = window
        summed = scores.sum(axis=0)
        if self.opened.windows.steps is not None:
            rows = self.opened.windows.steps[window]
            rows, summed = rows[rows >= 0], summed[rows >= 0]
        self.sums[rows] += summed
        self.counts[rows] += len(scores)
        self.waiting -= 1


class Films:
    """Films that are read side by side.

    Args:
        paths: of all films, in order.
        num_classes: of the scores.
        conclude: makes a prediction of a path, how it was looked at, what is missing, and scores [windows classes].
    """

    def __init__(self, paths: list[str], num_classes: int, conclude: Conclude) -> None:
        self._paths, self._num_classes, self._conclude = paths, num_classes, conclude
        self._open: dict[int, Film] = {}
        self._next = 0

    def take(self, item: Item) -> None:
        """A film begins or ends, or clips of it wait for the network."""
        film = self._open.setdefault(item.number, Film())
        if isinstance(item, Opened):
            film.opened = item
            film.sums = np.zeros((len(item.windows.spans_s), self._num_classes))
            film.counts = np.zeros(len(item.windows.spans_s), np.int64)
        elif isinstance(item, Clips):
            film.waiting += 1
        elif isinstance(item, Frames):
            film.waiting += len(item.looks)
        else:
            film.read, film.error, film.damage = True, item.error, item.damage

    def add(self, rows: Iterable[Row]) -> None:
        """Note scores."""
        for row in rows:
            self._open[row.number].add(row.window, row.values)

    def hold_more_than(self, count: int) -> bool:
        """Whether so many films wait for one before them that has been read and is not scored."""
        film = self._open.get(self._next)
        return film is not None and film.read and len(self._open) > count

    def finished(self) -> Iterator[Prediction | Failure]:
        """The next films that are done."""
        while (film := self._open.get(self._next)) and film.read and not film.waiting:
            path = self._paths[self._next]
            del self._open[self._next]
            self._next += 1
            if film.error is not None or film.opened is None:
                yield Failure(path, film.error or KinemaError("not one clip", path))
            else:
                scores = (film.sums / film.counts[:, None]).astype(np.float32)
                yield self._conclude(path, film.opened, film.damage, scores)
