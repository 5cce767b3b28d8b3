"""Training sequences of located actions: features of videos, or of a part of longer ones, with the actions in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from kinema.datasets.clips import Broken
from kinema.datasets.dataset import DataSet

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHORTEST_CROP = 0.9
"""Share of a video that a training sequence has at least, if the video fits into the window."""

_LEAST_INSIDE = 0.5
"""Share of an action that has to lie in a sequence; an action that is cut more is not learned there."""


@dataclass(frozen=True, slots=True, eq=False)
class LocatedSequence:
    """A video: features [n f], in memory or a file, and its actions in positions (feature i is position i).

    `times` [m 2] are starts and ends, `classes` [m] class indices.
    """

    features: NDArray[np.floating]
    times: NDArray[np.float64]
    classes: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class LocatedSample:
    """A training sequence: features float32 [t f], times float32 [m 2] and classes int64 [m] of its actions, its index."""

    features: Tensor
    times: Tensor
    classes: Tensor
    index: int


@dataclass(frozen=True, slots=True, eq=False)
class LocatedBatch:
    """Sequences of a batch.

    Args:
        features: float32 [b t f], shorter ones padded with zeros.
        mask: bool [b t], False for padding.
        times: of the actions of each sequence, float32 [m 2].
        classes: of the actions of each sequence, int64 [m].
        indices: int64 [b], the index of each sequence.
        broken: the videos of this batch that could not be read.
    """

    features: Tensor
    mask: Tensor
    times: tuple[Tensor, ...]
    classes: tuple[Tensor, ...]
    indices: Tensor
    broken: tuple[Broken, ...] = ()


class LocatedWindows(Dataset[LocatedSample | Broken]):
    """Random sequences of videos. Index it by `(epoch, index)`, or by an index alone for epoch 0.

    Args:
        data: an example a video.
        sequences: the videos, or why one could not be read, in the order of the examples.
        window: features of the longest sequence. A longer video is drawn from as often as it has windows.
        least: number of sequences in an epoch, for which videos are repeated.
        seed: of the random choice.
    """

    def __init__(
        self, data: DataSet, sequences: Sequence[LocatedSequence | str], window: int, least: int, seed: int
    ) -> None:
        sizes = [0 if isinstance(each, str) else len(each.features) for each in sequences]
        owners = np.repeat(np.arange(len(sizes)), [max(-(-size // window), 1) for size in sizes])
        self.owners = np.tile(owners, -(-least // len(owners)))
        self.data = data.with_examples(data.examples[owner] for owner in self.owners)
        self.sequences, self.window, self.seed = sequences, window, seed

    def __len__(self) -> int:
        return len(self.owners)

    def __getitem__(self, key: int | tuple[int, int]) -> LocatedSample | Broken:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        sequence = self.sequences[self.owners[index]]
        if isinstance(sequence, str):
            return Broken(index, self.data.examples[index].key, sequence)
        first, last = self._range(sequence, np.random.default_rng([self.seed, epoch, index]))
        rows = torch.from_numpy(np.array(sequence.features[first:last], np.float32))
        # Actions may reach beyond the centres of a video's first and last features, but not beyond a cut.
        inside = sequence.times.clip(first or -np.inf, last if last < len(sequence.features) else np.inf)
        kept = np.diff(inside)[:, 0] >= _LEAST_INSIDE * np.diff(sequence.times)[:, 0]
        times = torch.from_numpy((inside[kept] - first).astype(np.float32))
        return LocatedSample(rows, times, torch.from_numpy(sequence.classes[kept]), index)

    def _range(self, sequence: LocatedSequence, rng: np.random.Generator) -> tuple[int, int]:
        """First and last position of a sequence; half of those of long videos hold the centre of an action."""
        count = len(sequence.features)
        if count <= self.window:
            size = max(round(count * rng.uniform(SHORTEST_CROP, 1.0)), 1)
            first = int(rng.integers(count - size + 1))
            return first, first + size
        lowest, highest = 0, count - self.window
        if len(sequence.times) and rng.random() < 0.5:
            centre = float(sequence.times[rng.integers(len(sequence.times))].mean())
            lowest, highest = (int(np.clip(centre - part, 0, highest)) for part in (self.window, 0))
        first = int(rng.integers(lowest, highest + 1))
        return first, first + self.window


def collate_located(items: Sequence[LocatedSample | Broken]) -> LocatedBatch:
    """Join sequences to a batch; broken ones are listed apart."""
    samples = [item for item in items if isinstance(item, LocatedSample)]
    broken = tuple(item for item in items if isinstance(item, Broken))
    lengths = torch.tensor([len(sample.features) for sample in samples], dtype=torch.int64)
    longest = int(lengths.max()) if samples else 0
    return LocatedBatch(
        features=pad_sequence([s.features for s in samples], batch_first=True) if samples else torch.empty(0, 0, 0),
        mask=torch.arange(longest) < lengths[:, None],
        times=tuple(sample.times for sample in samples),
        classes=tuple(sample.classes for sample in samples),
        indices=torch.tensor([sample.index for sample in samples], dtype=torch.int64),
        broken=broken,
    )
