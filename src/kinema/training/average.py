"""A moving average of the weights (Polyak and Juditsky 1992), which is what is judged and saved.

Weights of parts that stand still are shared with it, neither copied nor averaged: with a large frozen encoder they
would cost more than the rest of the step.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class MovingAverage(nn.Module):
    """A network whose weights and statistics follow those of another one.

    Args:
        network: what is followed.
        still: its modules that do not change.
        decay: share of the old average that is kept at each step; early averages forget the random start faster.
    """

    n_averaged: Tensor

    def __init__(self, network: nn.Module, still: Sequence[nn.Module], decay: float) -> None:
        super().__init__()
        fixed = [tensor for stage in still for tensor in (*stage.parameters(), *stage.buffers())]
        self.module = copy.deepcopy(network, {id(tensor): tensor for tensor in fixed})
        self.decay = decay
        self.register_buffer("n_averaged", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def follow(self, network: nn.Module) -> None:
        """Take one step towards `network`; the first one takes its weights over."""
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
