"""A trained network as a fixed feature extractor: one vector for each clip of a film (Tran et al. 2015).

Films are read and batched as for prediction. Rows of a film wait on disk once there are many of them, so memory stays
constant for films of any length, and a film that turns out to be broken leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from kinema.errors import KinemaError
from kinema.inference.gathering import Row, SharedFrames, WholeClips
from kinema.inference.layers import Pool, reader
from kinema.inference.outcome import Failure
from kinema.inference.scoring import check_numbers
from kinema.inference.sources import ClipReader, Clips, Frames, Item, Opened, ReadAhead
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
    gatherings = _gatherings(scorer, options)
    source = ClipReader(
        scorer.network.spec, WindowOptions(options.step_s, 1, options.window_s), by_frame=len(gatherings) > 1
    )
    films = _Films(paths)
    with (
        contextlib.closing(films),
        ReadAhead(source.read, paths, num_threads=num_threads, depth=2 * scorer.batch_size) as items,
    ):
        for item in items:
            films.take(item)
            for gathering in gatherings:
                films.add(gathering.take(item))
            if films.hold_more_than(4 * scorer.batch_size):  # where one film waits for its like, of which none comes
                films.add(row for gathering in gatherings for row in gathering.finish())
            yield from films.finished()
        for gathering in gatherings:
            films.add(gathering.finish())
        yield from films.finished()


def _gatherings(scorer: Scorer, options: FeatureOptions) -> list[WholeClips | SharedFrames]:
    """Where clips wait, and frames of a network that looks at each of them alone."""
    read = reader(scorer.network, options.layer, options.pool)
    found: list[WholeClips | SharedFrames] = [WholeClips(partial(scorer.apply, read), scorer.batch_size)]
    by_frame = scorer.frame_scorer() if options.layer is None and not scorer.spec.has_flow else None
    return found if by_frame is None else [*found, SharedFrames(by_frame, by_frame.features)]


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
    damage: str = ""
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
        elif isinstance(item, Frames):
            film.waiting += len(item.looks)
        else:
            film.done, film.error, film.damage = True, item.error, item.damage

    def add(self, rows: Iterable[Row]) -> None:
        """Features [1 f] of clips.

        Raises:
            CheckpointError: they are not numbers.
        """
        for row in rows:
            check_numbers(row.values, self.paths[row.number])
            film = self.open[row.number]
            film.windows.append(row.window)
            film.dim, film.waiting = row.values.shape[1], film.waiting - 1
            film.rows.write(np.ascontiguousarray(row.values, np.float32).tobytes())

    def hold_more_than(self, count: int) -> bool:
        """Whether so many films wait for one before them that has been read and has not all its rows."""
        film = self.open.get(self.next)
        return film is not None and film.done and len(self.open) > count

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
                yield FilmFeatures(path, spans_s, film.dim, film.damage, film.rows)

    def close(self) -> None:
        """Forget the rows of films that nobody has asked for."""
        for film in self.open.values():
            film.rows.close()
