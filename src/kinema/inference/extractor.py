"""A trained network as a fixed feature extractor: one vector for each clip of a film (Tran et al. 2015).

Films are read and batched as for prediction. Rows of a film wait on disk once there are many of them, so memory stays
constant for films of any length, and a film that turns out to be broken leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from kinema.errors import KinemaError
from kinema.inference.layers import Pool, reader
from kinema.inference.outcome import Failure
from kinema.inference.sources import ClipReader, Clips, Item, Opened, ReadAhead
from kinema.inference.windows import WindowOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.inference.scoring import Scorer

_IN_MEMORY = 16 << 20
_ROWS = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureOptions:
    """Which clips of a film, and which vector of each.

    Args:
        layer: a module's name; None is the network's own features.
        pool: how maps become a vector: "mean", "max" or "none".
        step_s: seconds between clips; None chooses by the network's clip length.
        window_s: for networks that spread their frames, the length of film they see at once; None is the network's own.
    """

    layer: str | None = None
    pool: Pool = "mean"
    step_s: float | None = None
    window_s: float | None = None


@dataclass(slots=True)
class FilmFeatures:
    """Features of one film, a row a clip, in order of time.

    `spans_s` [n 2] is what each clip covers; `damage` says what of the film could not be seen.
    """

    path: str
    spans_s: NDArray[np.float64]
    dim: int
    damage: str
    _rows: tempfile.SpooledTemporaryFile[bytes]

    def __len__(self) -> int:
        return len(self.spans_s)

    def chunks(self) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float32]]]:
        """Spans and features [m f], some rows at a time; can be read once."""
        self._rows.seek(0)
        for first in range(0, len(self), _ROWS):
            spans_s = self.spans_s[first : first + _ROWS]
            found = self._rows.read(len(spans_s) * self.dim * 4)
            yield spans_s, np.frombuffer(found, np.float32).reshape(len(spans_s), self.dim)
        self._rows.close()


def extract_many(
    scorer: Scorer, paths: Sequence[str], options: FeatureOptions, num_threads: int
) -> Iterator[FilmFeatures | Failure]:
    """Features of films, in their order; one that cannot be read gives a `Failure` and the rest goes on.

    Args:
        scorer: holds the network, in evaluation mode.
        paths: files or folders of images.
        options: which clips, which vectors.
        num_threads: films that are decoded at once.
    """
    read = reader(scorer.network, options.layer, options.pool)
    source = ClipReader(scorer.network.spec, WindowOptions(options.step_s, 1, options.window_s))
    films = _Films(paths)
    waiting: list[Clips] = []

    def look() -> None:
        films.add(waiting, scorer.apply(read, torch.cat([clip.views for clip in waiting])))
        waiting.clear()

    with (
        contextlib.closing(films),
        ReadAhead(source.read, paths, num_threads=num_threads, depth=2 * scorer.batch_size) as items,
    ):
        for item in items:
            films.take(item)
            if isinstance(item, Clips):
                waiting.append(item)
            if len(waiting) >= scorer.batch_size:
                look()
            yield from films.finished()
        if waiting:
            look()
        yield from films.finished()


@dataclass(slots=True)
class _Film:
    """What is known of one film so far."""

    opened: Opened | None = None
    windows: list[int] = field(default_factory=list)
    dim: int = 0
    rows: tempfile.SpooledTemporaryFile[bytes] = field(
        default_factory=lambda: tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  closed with the film
    )
    waiting: int = 0
    done: bool = False
    error: KinemaError | None = None


class _Films:
    """Sorts rows of interleaved films and gives the finished films in order."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths, self.open = paths, dict[int, _Film]()
        self.next = 0

    def take(self, item: Item) -> None:
        """A film begins or ends, or a clip of it waits for the network."""
        if item.number not in self.open:
            self.open[item.number] = _Film()
        film = self.open[item.number]
        if isinstance(item, Opened):
            film.opened = item
        elif isinstance(item, Clips):
            film.waiting += 1
        else:
            film.done, film.error = True, item.error

    def add(self, clips: Sequence[Clips], rows: NDArray[np.float32]) -> None:
        """Rows [b f] of as many clips."""
        for clip, row in zip(clips, rows, strict=True):
            film = self.open[clip.number]
            film.windows.append(clip.window)
            film.dim, film.waiting = len(row), film.waiting - 1
            film.rows.write(np.ascontiguousarray(row, np.float32).tobytes())

    def finished(self) -> Iterator[FilmFeatures | Failure]:
        """The next films that are done, all rows there."""
        while (film := self.open.get(self.next)) is not None and film.done and not film.waiting:
            del self.open[self.next]
            path = self.paths[self.next]
            self.next += 1
            if film.error is not None or film.opened is None:
                film.rows.close()
                yield Failure(path, film.error or KinemaError("not one clip", path))
            else:
                spans_s = film.opened.windows.spans_s[film.windows]
                yield FilmFeatures(path, spans_s, film.dim, film.opened.damage, film.rows)

    def close(self) -> None:
        """Forget the rows of films that nobody has asked for."""
        for film in self.open.values():
            film.rows.close()
