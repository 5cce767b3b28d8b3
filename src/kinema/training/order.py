"""The order of examples: shuffled, balanced, shared among processes, and resumable at any batch.

The order is a function of (seed, epoch) alone. A run that is resumed in the middle of an epoch gets exactly the batches that
are left of it, and needs no state but the number of the batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler


def epoch_order(
    num_examples: int, seed: int, epoch: int, weights: NDArray[np.float64] | None = None
) -> NDArray[np.int64]:
    """Example indices of one epoch: a permutation, or with weights as many draws with replacement.

    Draws are systematic: an example appears as often as its share of the weights, rounded up or down.
    """
    rng = np.random.default_rng([seed, epoch, 1])
    if weights is None:
        return rng.permutation(num_examples)
    shuffled = rng.permutation(num_examples)
    edges = np.cumsum(weights[shuffled] / weights.sum())
    draws = (np.arange(num_examples) + rng.random()) / num_examples
    return rng.permutation(shuffled[np.searchsorted(edges, draws).clip(max=num_examples - 1)])


@dataclass(eq=False)
class EpochBatches(Sampler[list[tuple[int, int]]]):
    """Micro-batches of (epoch, index) for one process, from batch `start` on.

    A batch of `batch_size` is cut into `accumulate` parts, and `num_processes` share every part. The last, smaller batch of an
    epoch is kept if it gives each part of each process at least two examples (a batch norm needs two).
    """

    num_examples: int
    batch_size: int
    accumulate: int = 1
    seed: int = 0
    epoch: int = 0
    start: int = 0
    process: int = 0
    num_processes: int = 1
    weights: NDArray[np.float64] | None = None

    def move_to(self, epoch: int, start: int = 0) -> None:
        """Go to another epoch and skip its first `start` batches; this also moves the loader that holds this sampler."""
        self.epoch, self.start = epoch, start

    @property
    def num_batches(self) -> int:
        """Batches (optimiser steps) in a whole epoch."""
        whole, rest = divmod(self.num_examples, self.batch_size)
        keeps_rest = rest >= 2 * self.accumulate * self.num_processes
        return max(whole + keeps_rest, 1)

    def __len__(self) -> int:
        return (self.num_batches - self.start) * self.accumulate

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = epoch_order(self.num_examples, self.seed, self.epoch, self.weights)
        for batch in range(self.start, self.num_batches):
            rows = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            for part in np.array_split(rows, self.accumulate):
                own = np.array_split(part, self.num_processes)[self.process]
                yield [(self.epoch, int(index)) for index in own]
