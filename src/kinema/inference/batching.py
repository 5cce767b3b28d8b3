"""From what films are read as to rows of scores: clips and frames of several films wait until there is a batch of them.

`SharedFrames` gives each frame to the frame network once, however many windows see it, and keeps its vector as long as
one of them is still to come: the fixed memory of a window, whatever the length of the film.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from kinema.inference.reader import Clips, Done, Frames, Item, Look

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.engines.scorer import FrameScorer

Apply = Callable[[Tensor], "NDArray[np.float32]"]


class Row(NamedTuple):
    """What came of one clip: `values` [v …] of its views, for `window` of film `number`."""

    number: int
    window: int
    values: NDArray[np.float32]


class WholeClips:
    """Clips on their way to the network, until there are enough.

    Args:
        apply: the network, on uint8 clips [b c t h w].
        size: how many are enough.
    """

    def __init__(self, apply: Apply, size: int) -> None:
        self._apply, self._size = apply, size
        self._items: list[Clips] = []
        self._num_rows = 0

    def take(self, item: Item) -> Iterator[Row]:
        """A clip may complete a batch."""
        if isinstance(item, Clips):
            self._items.append(item)
            self._num_rows += len(item.views)
            if self._num_rows >= self._size:
                yield from self.finish()

    def finish(self) -> Iterator[Row]:
        """The rows of all clips that wait."""
        if self._items:
            rows = self._apply(torch.cat([item.views for item in self._items]))
            for item in self._items:
                yield Row(item.number, item.window, rows[: len(item.views)])
                rows = rows[len(item.views) :]
        self._items, self._num_rows = [], 0


class SharedFrames:
    """Frames on their way to the frame network, and what it made of those that are still needed.

    Args:
        scorer: the network in two steps.
        join: what becomes of the vectors [b t f] of clips, such as their logits.
    """

    def __init__(self, scorer: FrameScorer, join: Apply) -> None:
        self._scorer, self._join = scorer, join
        self._items: list[Frames] = []
        self._num_frames = 0
        self._ended: list[int] = []
        self._encoded: dict[int, dict[int, NDArray[np.float32]]] = {}
        """Of each film, of each frame by its number: [v f]."""

    def take(self, item: Item) -> Iterator[Row]:
        """Frames may complete a batch."""
        if isinstance(item, Done):
            self._ended.append(item.number)
        if isinstance(item, Frames):
            self._items.append(item)
            self._num_frames += len(item.indices) * len(item.views)
            if self._num_frames >= self._scorer.num_frames:
                yield from self.finish()

    def finish(self) -> Iterator[Row]:
        """The rows of all clips that are complete."""
        items, self._items, self._num_frames = self._items, [], 0
        self._encode([item for item in items if item.indices])
        looks = [(item.number, look) for item in items for look in item.looks]
        for first in range(0, len(looks), self._scorer.num_clips):
            yield from self._joined(looks[first : first + self._scorer.num_clips])
        for number in self._ended:
            self._encoded.pop(number, None)
        self._ended = []

    def _encode(self, items: list[Frames]) -> None:
        if not items:
            return
        rows = self._scorer.encode(torch.cat([rearrange(item.views, "v c n h w -> (n v) c 1 h w") for item in items]))
        for item in items:
            film, num_views = self._encoded.setdefault(item.number, {}), len(item.views)
            for index in item.indices:
                film[index] = rows[:num_views]
                rows = rows[num_views:]

    def _joined(self, looks: list[tuple[int, Look]]) -> Iterator[Row]:
        clips = [self._clip(number, look) for number, look in looks]
        rows = self._join(torch.from_numpy(np.concatenate(clips)))
        for (number, look), clip in zip(looks, clips, strict=True):
            yield Row(number, look.window, rows[: len(clip)])
            rows = rows[len(clip) :]

    def _clip(self, number: int, look: Look) -> NDArray[np.float32]:
        """The vectors [v t f] of a clip; those that no later one needs are forgotten."""
        film = self._encoded[number]
        clip = np.stack([film[index] for index in look.frames], axis=1)
        while next(iter(film)) < look.first:
            del film[next(iter(film))]
        return clip
