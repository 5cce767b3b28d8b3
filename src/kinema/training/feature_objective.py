"""Training on kept features: only `join` and the classifier are computed, forward and backward.

Random changes of pixels are part of the kept views. To blend the pixels of two clips is impossible.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.models.device import autocast
from kinema.models.frozen_split import TrainableHead, check_split, frozen_features
from kinema.training.objective import Lesson

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from kinema.datasets.features import FeatureBatch
    from kinema.models.network import Network
    from kinema.training.losses import ClipLoss
    from kinema.training.options import FitOptions


class FeatureObjective:
    """One label, or several, for the features of each view.

    Args:
        network: its trainable head is trained.
        loss: of logits and targets.
    """

    def __init__(self, network: Network, loss: ClipLoss) -> None:
        self.network, self.loss = network, loss
        self.device, self.precision = torch.device("cpu"), "f32"

    def module(self, network: Network) -> nn.Module:
        """Its trainable head."""
        return TrainableHead(network)

    def to(self, device: torch.device, precision: str) -> None:
        """See `Objective`."""
        self.device, self.precision = device, precision
        self.loss.to(device)

    def num_counted(self, batch: FeatureBatch) -> int:
        """The number of views."""
        return len(batch.indices)

    def learn(self, module: nn.Module, batch: FeatureBatch, rng: np.random.Generator) -> Lesson:
        """Compare the logits with the targets; nothing is random."""
        targets = self.loss.targets(batch.targets.to(self.device))
        lengths = None if batch.lengths is None else batch.lengths.to(self.device)
        with autocast(self.device, self.precision):
            logits = module(batch.features.to(self.device, non_blocking=True), lengths)
        hits = targets.gather(1, logits.detach().argmax(1, keepdim=True)).gt(0).sum()
        return Lesson(self.loss(logits, targets), float(hits))

    def nothing(self, module: nn.Module) -> Tensor:
        """Zero times the logits of the features of two empty clips."""
        with torch.no_grad():
            kept = frozen_features(self.network, torch.zeros((2, *self.network.spec.shape), device=self.device))
        return module(kept).sum() * 0.0


def check_kept(network: Network, options: FitOptions) -> None:
    """Make sure that a network can be trained on kept features with these options.

    Raises:
        ConfigError: more than the head is trained, clips are blended, or the network cannot be split.
    """
    if options.transfer != "head":
        raise ConfigError("--keep-features needs a frozen encoder", f"--transfer {options.transfer}", "give head")
    if options.mixup or options.cutmix:
        do = "leave one of them out"
        raise ConfigError("--mixup and --cutmix blend pixels, which kept features no longer have", "", do)
    check_split(network)
