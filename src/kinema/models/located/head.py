"""What the heads of one and of two stages have in common: truth in positions, candidates, and the interface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kinema.models.located.pyramid import Level, MaskedConv

PRIOR = 0.01
"""Score of every class at every position before training (Lin et al. 2017)."""

Classify = Callable[[Float[Tensor, "*n c"]], Float[Tensor, "*n classes"]]


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """True actions of one sequence: start and end [n 2] in positions of level 0, class indices [n]. They may overlap."""

    times: Float[Tensor, "n 2"]
    classes: Int[Tensor, " n"]

    def to(self, device: torch.device) -> Truth:
        """The same on another device."""
        return Truth(self.times.to(device), self.classes.to(device))


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Possible segments of one sequence, before suppression.

    Args:
        times: start and end in positions of level 0.
        logits: of each class.
        points: the position that each candidate comes from.
    """

    times: Float[Tensor, "n 2"]
    logits: Float[Tensor, "n classes"]
    points: Float[Tensor, " n"]


class Head(Protocol):
    """Finds segments in a feature pyramid."""

    reach: int
    """How many positions of level 0 to either side a candidate depends on, beyond the reach of the pyramid."""

    def loss(self, levels: Sequence[Level], truth: Sequence[Truth], classify: Classify) -> Tensor:
        """The loss, summed over the sequences of a batch."""

    def candidates(self, levels: Sequence[Level], classify: Classify) -> Candidates:
        """Candidates of a batch of one sequence."""

    def clip_logits(self, levels: Sequence[Level], classify: Classify) -> Float[Tensor, "b classes"]:
        """Logits of sequences of one position: each clip as a video of its own."""


class Tower(nn.Module):
    """Convolutions that all levels share.

    Args:
        width: channels.
        depth: number of layers.
    """

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(MaskedConv(width, width) for _ in range(depth))

    def forward(self, levels: Sequence[Level]) -> list[Float[Tensor, "_ _ _"]]:
        """The features of each level [b t c]."""
        results = []
        for current, mask in levels:
            for layer in self.layers:
                current = layer(current, mask)  # noqa: PLW2901
            results.append(current)
        return results


def points_of(levels: Sequence[Level]) -> tuple[Float[Tensor, " p"], Float[Tensor, " p"]]:
    """Positions and strides of the points of all levels, from the finest level on."""
    finest = levels[0][0].shape[1]
    sizes = [features.shape[1] for features, _ in levels]
    device = levels[0][0].device
    strides = [torch.full((size,), finest / size, device=device) for size in sizes]
    return torch.cat([torch.arange(len(each), device=device) * each for each in strides]), torch.cat(strides)
