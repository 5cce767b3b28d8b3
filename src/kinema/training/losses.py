"""Losses: cross-entropy for one label a video, binary cross-entropy for several, with smoothing and class weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.datasets.dataset import DataSet
from kinema.training.options import FitOptions


class ClipLoss(nn.Module):
    """Mean loss of a batch; targets are class indices [b], or shares or multi-hot rows [b classes].

    Args:
        num_classes: classes.
        multi_label: several labels a video: one sigmoid a class instead of a softmax.
        smoothing: label smoothing (Szegedy et al. 2016); unused with several labels.
        class_weights: [classes], mean 1; weights of errors in each class.
    """

    class_weights: Tensor | None

    def __init__(
        self, num_classes: int, multi_label: bool = False, smoothing: float = 0.0, class_weights: Tensor | None = None
    ) -> None:
        super().__init__()
        self.num_classes, self.multi_label, self.smoothing = num_classes, multi_label, smoothing
        self.register_buffer("class_weights", class_weights)

    def targets(self, targets: Tensor) -> Tensor:
        """Class indices as one-hot rows; rows as they are. [b] or [b classes] -> float [b classes]."""
        return targets.float() if targets.ndim == 2 else F.one_hot(targets, self.num_classes).float()

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Mean loss, a scalar, computed in float32."""
        rows = self.targets(targets)
        if self.multi_label:
            return F.binary_cross_entropy_with_logits(logits.float(), rows, pos_weight=self.class_weights)
        return F.cross_entropy(logits.float(), rows, weight=self.class_weights, label_smoothing=self.smoothing)


def loss_for(data: DataSet, options: FitOptions) -> ClipLoss:
    """The loss for the classes of a data set, with the smoothing and the class weights of the options."""
    weights = balanced_weights(list(data.counts().values())) if options.balance == "loss" else None
    return ClipLoss(len(data.labels), data.multi_label, options.label_smoothing, weights)


def balanced_weights(counts: list[int]) -> Tensor:
    """Weights inverse to the class counts, scaled so that an average example weighs 1; an empty class weighs 0."""
    number = torch.tensor(counts, dtype=torch.float32)
    present = number > 0
    return torch.where(present, number.sum() / (present.sum() * number.clamp(min=1)), torch.zeros_like(number))
