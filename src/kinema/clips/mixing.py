"""Mix the clips of a batch and their targets: mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019).

Clips are float [b c t h w], targets are soft, float [b classes]; results have the same shapes. All random numbers come
from the given NumPy generator, so that a run can be repeated.
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
    """Convert class indices int64 [b] to soft targets [b classes]; multi-hot float targets are returned unchanged.

    `smoothing` is the share of the weight spread evenly over all classes (label smoothing, Szegedy et al. 2016).
    """
    if targets.is_floating_point():
        return targets
    hot = functional.one_hot(targets, num_classes).to(torch.float32)
    return hot * (1 - smoothing) + smoothing / num_classes


def apply_mixup(clips: Clips, targets: Targets, rng: np.random.Generator, alpha: float = 0.2) -> tuple[Clips, Targets]:
    """Blend each clip of a batch with another one, all with one weight drawn from Beta(alpha, alpha).

    `alpha` is above zero; larger values blend more evenly. Returns new tensors.
    """
    share = float(rng.beta(alpha, alpha))
    partner = torch.from_numpy(rng.permutation(len(clips))).to(clips.device)
    return torch.lerp(clips[partner], clips, share), torch.lerp(targets[partner], targets, share)


def apply_cutmix(clips: Clips, targets: Targets, rng: np.random.Generator, alpha: float = 1.0) -> tuple[Clips, Targets]:
    """Paste a box from another clip of the batch into each clip, in all its frames; targets are weighted by area.

    The box's share of the frame is drawn from Beta(alpha, alpha); `alpha` is above zero. Returns new tensors.
    """
    height, width = clips.shape[-2:]
    side = math.sqrt(1 - float(rng.beta(alpha, alpha)))
    top, bottom = _random_interval(height, side, rng)
    left, right = _random_interval(width, side, rng)
    partner = torch.from_numpy(rng.permutation(len(clips))).to(clips.device)
    mixed = clips.clone()
    mixed[..., top:bottom, left:right] = clips[partner][..., top:bottom, left:right]
    kept = 1 - (bottom - top) * (right - left) / (height * width)
    return mixed, torch.lerp(targets[partner], targets, kept)


def mix(
    clips: Clips, targets: Targets, rng: np.random.Generator, *, mixup: float = 0.0, cutmix: float = 0.0
) -> tuple[Clips, Targets]:
    """Apply mixup or CutMix, whichever has an alpha above zero (0 is off); if both do, draw one of them."""
    methods = [(blend, alpha) for blend, alpha in ((apply_mixup, mixup), (apply_cutmix, cutmix)) if alpha > 0]
    if not methods or len(clips) < 2:
        return clips, targets
    blend, alpha = methods[int(rng.integers(len(methods)))]
    return blend(clips, targets, rng, alpha)


def _random_interval(length: int, share: float, rng: np.random.Generator) -> tuple[int, int]:
    """Start and end of about `share` of `length`, around a random point, clipped at both ends."""
    middle, half = int(rng.integers(length)), round(length * share / 2)
    return max(middle - half, 0), min(middle + half, length)
