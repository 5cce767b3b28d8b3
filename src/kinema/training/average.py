"""A moving average of the weights (Polyak and Juditsky 1992), which is validated and saved in place of the network.

It shares the weights of frozen parts: to copy and average a large encoder would cost more than the rest of the step.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class MovingAverage(nn.Module):
    """A copy of a network whose weights and statistics are moving averages.

    Args:
        network: to average.
        frozen: its modules that do not change.
        decay: share of the old average that each step keeps; it is smaller at first, to forget the random start sooner.
    """

    n_averaged: Tensor

    def __init__(self, network: nn.Module, frozen: Sequence[nn.Module], decay: float) -> None:
        super().__init__()
        fixed = [tensor for stage in frozen for tensor in (*stage.parameters(), *stage.buffers())]
        self.module = copy.deepcopy(network, {id(tensor): tensor for tensor in fixed})
        self.decay = decay
        self.register_buffer("n_averaged", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def follow(self, network: nn.Module) -> None:
        """Move the average towards `network`; the first call copies its weights."""
        count = int(self.n_averaged)
        weight = 1.0 if count == 0 else 1 - min(self.decay, (1 + count) / (10 + count))
        for old, new in zip(_tensors(self.module), _tensors(network), strict=True):
            if old is new:
                continue
            if torch.is_floating_point(old) and count:
                old.lerp_(new, weight)
            else:
                old.copy_(new)
        self.n_averaged += 1


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]
