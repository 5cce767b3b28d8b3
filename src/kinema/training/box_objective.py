"""Training on the labels of boxes: binary cross-entropy, several labels a box."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.clips.transforms import normalize
from kinema.models.device import autocast
from kinema.training.objective import Lesson

if TYPE_CHECKING:
    import numpy as np

    from kinema.datasets.box_clips import BoxBatch
    from kinema.models.detection import BoxNetwork
    from kinema.models.network import Network


class ScoredBoxes(nn.Module):
    """A network whose output is the logits of boxes."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, clips: Float[Tensor, "b c t h w"], boxes: Float[Tensor, "n 5"]) -> Float[Tensor, "n classes"]:
        """Logits; boxes begin with the number of their clip."""
        network: BoxNetwork = self.network  # type: ignore[assignment]
        return network.score_boxes(clips, [boxes[boxes[:, 0] == place, 1:] for place in range(len(clips))])


class BoxObjective:
    """Several labels a box. Key frames without boxes count for nothing.

    Args:
        network: its input says how clips are normalised.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.device, self.precision = torch.device("cpu"), "f32"

    def module(self, network: Network) -> nn.Module:
        """The network with the logits of boxes."""
        return ScoredBoxes(network)

    def to(self, device: torch.device, precision: str) -> None:
        """See `Objective`."""
        self.device, self.precision = device, precision

    def num_counted(self, batch: BoxBatch) -> int:
        """The number of boxes."""
        return len(batch.boxes)

    def learn(self, module: nn.Module, batch: BoxBatch, rng: np.random.Generator) -> Lesson:
        """The mean loss of all boxes; the hits of a clip are the share of its boxes whose best label is right."""
        if not len(batch.boxes):
            return Lesson(self.nothing(module), 0.0)
        clips = normalize(batch.clips.to(self.device, non_blocking=True), self.network.spec)
        targets = batch.targets.to(self.device)
        with autocast(self.device, self.precision):
            logits = module(clips, batch.boxes.to(self.device)).float()
        right = targets.gather(1, logits.detach().argmax(1, keepdim=True))[:, 0]
        number = batch.boxes[:, 0].long()
        counts = torch.bincount(number, minlength=len(batch))
        shares = torch.bincount(number, right.cpu(), minlength=len(batch)) / counts.clamp(min=1)
        return Lesson(F.binary_cross_entropy_with_logits(logits, targets), float(shares.sum()))

    def nothing(self, module: nn.Module) -> Tensor:
        """Zero times the logits of a box in two empty clips."""
        clips = torch.zeros((2, *self.network.spec.shape), device=self.device)
        boxes = torch.tensor([[0.0, 0, 0, 8, 8], [1.0, 0, 0, 8, 8]], device=self.device)
        return module(clips, boxes).sum() * 0.0
