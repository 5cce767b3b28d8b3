"""Collect clips or frames of several videos until a batch is full, and give the network's output for each clip.

`SharedFrames` encodes each frame once, however many windows contain it, and keeps its vector until no later window needs it.
So memory is bounded by the frames of a window, not by the length of a video.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from kinema.inference.reader import ClipViews, FrameClip, FrameViews, Item, VideoEnd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.engines.scorer import FrameScorer

Apply = Callable[[Tensor], "NDArray[np.float32]"]


class ClipOutput(NamedTuple):
    """The network's output for one clip: `values` [v …] of its views, for window `window` of video `number`."""

    number: int
    window: int
    values: NDArray[np.float32]


class WholeClips:
    """Collects clips until a batch is full.

    Args:
        apply: the network, on uint8 clips [b c t h w].
        size: number of views that fill a batch.
    """

    def __init__(self, apply: Apply, size: int) -> None:
        self._apply, self._size = apply, size
        self._items: list[ClipViews] = []
        self._num_views = 0

    def take(self, item: Item) -> Iterator[ClipOutput]:
        """Add a clip; if the batch is full, give its outputs."""
        if isinstance(item, ClipViews):
            self._items.append(item)
            self._num_views += len(item.views)
            if self._num_views >= self._size:
                yield from self.finish()

    def finish(self) -> Iterator[ClipOutput]:
        """Compute the clips of an incomplete batch."""
        if self._items:
            rows = self._apply(torch.cat([item.views for item in self._items]))
            for item in self._items:
                yield ClipOutput(item.number, item.window, rows[: len(item.views)])
                rows = rows[len(item.views) :]
        self._items, self._num_views = [], 0


class SharedFrames:
    """Collects frames until a batch is full, encodes them, and joins the vectors of complete clips.

    Args:
        scorer: encodes frames.
        join: from the vectors [b t f] of clips to their outputs, such as logits.
    """

    def __init__(self, scorer: FrameScorer, join: Apply) -> None:
        self._scorer, self._join = scorer, join
        self._items: list[FrameViews] = []
        self._num_frames = 0
        self._ended: list[int] = []
        self._encoded: dict[int, dict[int, NDArray[np.float32]]] = {}
        """Vectors [v f] by video and frame number."""

    def take(self, item: Item) -> Iterator[ClipOutput]:
        """Add frames; if the batch is full, give the outputs of complete clips."""
        if isinstance(item, VideoEnd):
            self._ended.append(item.number)
        if isinstance(item, FrameViews):
            self._items.append(item)
            self._num_frames += len(item.indices) * len(item.views)
            if self._num_frames >= self._scorer.num_frames:
                yield from self.finish()

    def finish(self) -> Iterator[ClipOutput]:
        """Encode the frames of an incomplete batch and give the outputs of complete clips."""
        items, self._items, self._num_frames = self._items, [], 0
        if any(item.indices for item in items):
            views = [rearrange(item.views, "v c n h w -> (n v) c 1 h w") for item in items if item.indices]
            rows = self._scorer.encode(torch.cat(views))
            for item in items:
                encoded, num_views = self._encoded.setdefault(item.number, {}), len(item.views)
                for index in item.indices:
                    encoded[index] = rows[:num_views]
                    rows = rows[num_views:]
        clips = [(item.number, clip) for item in items for clip in item.clips]
        for first in range(0, len(clips), self._scorer.num_clips):
            batch = clips[first : first + self._scorer.num_clips]
            vectors = [self._take_vectors(number, clip) for number, clip in batch]
            rows = self._join(torch.from_numpy(np.concatenate(vectors)))
            for (number, clip), part in zip(batch, vectors, strict=True):
                yield ClipOutput(number, clip.window, rows[: len(part)])
                rows = rows[len(part) :]
        for number in self._ended:
            self._encoded.pop(number, None)
        self._ended = []

    def _take_vectors(self, number: int, clip: FrameClip) -> NDArray[np.float32]:
        """The vectors [v t f] of a clip; drops those that no later clip needs."""
        encoded = self._encoded[number]
        vectors = np.stack([encoded[index] for index in clip.frames], axis=1)
        while next(iter(encoded)) < clip.first_needed:
            del encoded[next(iter(encoded))]
        return vectors


Batcher: TypeAlias = WholeClips | SharedFrames
