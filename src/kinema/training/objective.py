"""The loss and the hits of a batch. The loop itself does not depend on the kind of batch.

`ClipObjective` is the default: one row of logits for each clip. Others use kept features, or a label for every frame; they
differ in what they read from a batch and in what they count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from kinema.clips.mixing import mix
from kinema.clips.transforms import normalize
from kinema.models.device import autocast
from kinema.training.losses import ClipLoss

if TYPE_CHECKING:
    from kinema.datasets.clips import Batch
    from kinema.models.network import Network
    from kinema.training.options import FitOptions


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """The result of one batch: the mean loss over what counts in it, and the number of rows that were right; NaN is unknown."""

    loss: Tensor
    hits: float


BatchT_contra = TypeVar("BatchT_contra", contravariant=True)


class Objective(Protocol[BatchT_contra]):
    """Computes the loss of a batch."""

    def module(self, network: Network) -> nn.Module:
        """The module that `learn` calls in training: the network, or a module around it that shares its weights."""

    def to(self, device: torch.device, precision: str) -> None:
        """Set the device and the number format; called once, before the first batch."""

    def num_counted(self, batch: BatchT_contra) -> int:
        """How many items the loss of a batch is the mean of: its rows, or the frames in them that have a label."""

    def learn(self, module: nn.Module, batch: BatchT_contra, rng: np.random.Generator) -> Lesson:
        """The loss of a batch with at least one row; `module` is the network, wrapped for several processes."""

    def nothing(self, module: nn.Module) -> Tensor:
        """A loss of zero with a gradient for every trained parameter, for a process whose batch is empty."""


class ClipObjective:
    """One label, or several, a clip.

    Args:
        network: its input says how clips are normalised.
        options: mixing, label smoothing.
        loss: of logits and targets.
    """

    def __init__(self, network: Network, options: FitOptions, loss: ClipLoss) -> None:
        self.network, self.options, self.loss = network, options, loss
        self.device, self.precision = torch.device("cpu"), "f32"

    def module(self, network: Network) -> nn.Module:
        """The network itself."""
        return network

    def to(self, device: torch.device, precision: str) -> None:
        """See `Objective`."""
        self.device, self.precision = device, precision
        self.loss.to(device)

    def num_counted(self, batch: Batch) -> int:
        """The number of clips."""
        return len(batch.indices)

    def learn(self, module: nn.Module, batch: Batch, rng: np.random.Generator) -> Lesson:
        """Normalise, mix, compare with the targets."""
        clips = normalize(batch.clips.to(self.device, non_blocking=True), self.network.spec)
        targets = self.loss.targets(batch.targets.to(self.device))
        clips, soft = mix(clips, targets, rng, mixup=self.options.mixup, cutmix=self.options.cutmix)
        with autocast(self.device, self.precision):
            logits = module(clips)
        hits = targets.gather(1, logits.detach().argmax(1, keepdim=True)).gt(0).sum()
        return Lesson(self.loss(logits, soft), float(hits))

    def nothing(self, module: nn.Module) -> Tensor:
        """Zero times the logits of two empty clips."""
        return module(torch.zeros((2, *self.network.spec.shape), device=self.device)).sum() * 0.0
