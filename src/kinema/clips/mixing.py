"""Blending the clips of a batch and their targets: mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019).

Targets are soft, [b classes]. All draws come from the numpy generator given, so that a run can be repeated.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

Clips = Float[Tensor, "b c t h w"]
Targets = Float[Tensor, "b classes"]


def soft_targets(targets: Tensor, num_classes: int, smoothing: float = 0.0) -> Tensor:
    """Class indices [b] as soft targets [b classes]; multi-hot float targets are passed on.

    Args:
        targets: int64 [b] or float [b classes].
        num_classes: how many classes there are.
        smoothing: share of the weight that is spread evenly over all classes (Szegedy et al. 2016).
    """
    if targets.is_floating_point():
        return targets
    hot = functional.one_hot(targets, num_classes).to(torch.float32)
    return hot * (1 - smoothing) + smoothing / num_classes


def apply_mixup(clips: Clips, targets: Targets, rng: np.random.Generator, alpha: float = 0.2) -> tuple[Clips, Targets]:
    """Blend each clip of a batch with another one, all with the same weight drawn from Beta(alpha, alpha).

    Args:
        clips: float [b c t h w].
        targets: soft, float [b classes].
        rng: where weight and partners are drawn from.
        alpha: above zero; the larger, the more even the blend.

    Returns:
        New clips and targets of the same shapes.
    """
    share = float(rng.beta(alpha, alpha))
    partner = torch.from_numpy(rng.permutation(len(clips))).to(clips.device)
    return torch.lerp(clips[partner], clips, share), torch.lerp(targets[partner], targets, share)


def apply_cutmix(clips: Clips, targets: Targets, rng: np.random.Generator, alpha: float = 1.0) -> tuple[Clips, Targets]:
    """Paste a box from another clip of the batch into each, in all frames; the targets are weighted by area.

    Args:
        clips: float [b c t h w].
        targets: soft, float [b classes].
        rng: where box and partners are drawn from.
        alpha: above zero; the box's share of the frame is drawn from Beta(alpha, alpha).

    Returns:
        New clips and targets of the same shapes.
    """
    height, width = clips.shape[-2:]
    side = math.sqrt(1 - float(rng.beta(alpha, alpha)))
    top, bottom = _stretch(height, side, rng)
    left, right = _stretch(width, side, rng)
    partner = torch.from_numpy(rng.permutation(len(clips))).to(clips.device)
    mixed = clips.clone()
    mixed[..., top:bottom, left:right] = clips[partner][..., top:bottom, left:right]
    kept = 1 - (bottom - top) * (right - left) / (height * width)
    return mixed, torch.lerp(targets[partner], targets, kept)


def mix(
    clips: Clips, targets: Targets, rng: np.random.Generator, *, mixup: float = 0.0, cutmix: float = 0.0
) -> tuple[Clips, Targets]:
    """Blend a batch in the ways whose strength (alpha) is above zero; where both are, one of them is drawn.

    Args:
        clips: float [b c t h w].
        targets: soft, float [b classes].
        rng: where everything is drawn from.
        mixup: strength of mixup, 0 is off.
        cutmix: strength of CutMix, 0 is off.
    """
    ways = [(blend, alpha) for blend, alpha in ((apply_mixup, mixup), (apply_cutmix, cutmix)) if alpha > 0]
    if not ways or len(clips) < 2:
        return clips, targets
    blend, alpha = ways[int(rng.integers(len(ways)))]
    return blend(clips, targets, rng, alpha)


def _stretch(length: int, share: float, rng: np.random.Generator) -> tuple[int, int]:
    """A stretch of about `share` of `length`, around a point drawn anywhere, cut off at the ends."""
    middle, half = int(rng.integers(length)), round(length * share / 2)
    return max(middle - half, 0), min(middle + half, length)
