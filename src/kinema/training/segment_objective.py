"""The loss of networks that locate actions, on kept features of their encoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from kinema.models.located.head import Truth
from kinema.training.objective import Lesson

if TYPE_CHECKING:
    import numpy as np

    from kinema.datasets.located_windows import LocatedBatch
    from kinema.models.located.network import SegmentNetwork
    from kinema.models.network import Network

POINTS_OF_AN_ACTION = 3
"""About how many points learn an action, within 1.5 strides of its centre."""


class SegmentLoss(nn.Module):
    """The trained part of a network as a module whose output is the loss; the encoder is not called."""

    def __init__(self, network: SegmentNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, features: Float[Tensor, "b t f"], mask: Bool[Tensor, "b t"], truth: Sequence[Truth]
    ) -> Float[Tensor, ""]:
        """See `SegmentNetwork.training_loss`."""
        return self.network.training_loss(features, mask, truth)


class SegmentObjective:
    """Losses of classes and borders, as a mean over the points that learn an action.

    ActionFormer divides by a running mean of their number. Here it is an estimate that depends on the batch alone, so that parts
    of a batch, processes and resumed runs agree, and a batch without any action has a finite loss.

    Everything is computed in float32, because borders need more digits than half precision has.

    Args:
        network: to train; its encoder is frozen.
    """

    def __init__(self, network: SegmentNetwork) -> None:
        self.network, self.device = network, torch.device("cpu")

    def module(self, network: Network) -> nn.Module:
        """The trained part; it shares its weights with the network."""
        return SegmentLoss(self.network)

    def to(self, device: torch.device, precision: str) -> None:
        """See `Objective`."""
        self.device = device

    def num_counted(self, batch: LocatedBatch) -> int:
        """One for each sequence, and `POINTS_OF_AN_ACTION` for each action."""
        return len(batch.indices) + POINTS_OF_AN_ACTION * sum(map(len, batch.classes))

    def learn(self, module: nn.Module, batch: LocatedBatch, rng: np.random.Generator) -> Lesson:
        """The loss of a batch; a sequence is neither right nor wrong."""
        truth = [
            Truth(times, classes).to(self.device) for times, classes in zip(batch.times, batch.classes, strict=True)
        ]
        loss = module(batch.features.to(self.device), batch.mask.to(self.device), truth)
        return Lesson(loss / self.num_counted(batch), math.nan)

    def nothing(self, module: nn.Module) -> Tensor:
        """Zero times the loss of a sequence with an action."""
        features = torch.zeros(1, 8, self.network.feature_dim, device=self.device)
        mask = torch.ones(1, 8, dtype=torch.bool, device=self.device)
        truth = Truth(torch.tensor([[2.0, 5.0]]), torch.tensor([0])).to(self.device)
        return module(features, mask, [truth]) * 0.0
