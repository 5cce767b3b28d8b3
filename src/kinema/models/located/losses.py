"""Losses of located actions: focal loss of scores, distance IoU loss of borders."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def focal_loss(
    logits: Float[Tensor, "*n"], targets: Float[Tensor, "*n"], alpha: float = 0.25, gamma: float = 2.0
) -> Float[Tensor, "*n"]:
    """Binary cross-entropy that counts easy examples little (Lin et al. 2017).

    Args:
        logits: before the sigmoid.
        targets: 0 to 1.
        alpha: weight of positives; negatives have 1 - alpha.
        gamma: how little easy examples count.
    """
    scores = logits.sigmoid()
    entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    missed = scores * (1 - targets) + (1 - scores) * targets
    return entropy * missed**gamma * (alpha * targets + (1 - alpha) * (1 - targets))


def diou_loss(predicted: Float[Tensor, "n 2"], true: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
    """One minus tIoU, plus the squared distance of the centres as a share of the span of both (Zheng et al. 2020).

    Args:
        predicted: start and end, the end not before the start.
        true: the same of true segments, which are longer than 0.
    """
    shared = (predicted.minimum(true)[:, 1] - predicted.maximum(true)[:, 0]).clamp(min=0)
    union = (predicted[:, 1] - predicted[:, 0]) + (true[:, 1] - true[:, 0]) - shared
    span = predicted.maximum(true)[:, 1] - predicted.minimum(true)[:, 0]
    apart = predicted.mean(dim=1) - true.mean(dim=1)
    return 1 - shared / union + (apart / span) ** 2
