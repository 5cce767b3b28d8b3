"""Temporal RoI pooling: RoIAlign (He et al. 2017) in one dimension, with exact linear interpolation.

The result is that of `torchvision.ops.roi_align(aligned=True)` on a map of one row.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def roi_align(
    features: Float[Tensor, "b c t"],
    rois: Float[Tensor, "n 2"],
    rows: Int[Tensor, " n"],
    num_bins: int,
    num_samples: int = 2,
) -> Float[Tensor, "n c bins"]:
    """Mean features in equal parts of each region.

    Args:
        features: position i is a sample at time i.
        rois: start and end of each region, in positions.
        rows: the entry of the batch that each region lies in.
        num_bins: parts of a region.
        num_samples: samples in each part, which are averaged. Samples more than a position outside are zero.
    """
    length = features.shape[2]
    parts = num_bins * num_samples
    places = (torch.arange(parts, device=rois.device, dtype=rois.dtype) + 0.5) / parts
    times = rois[:, :1] + (rois[:, 1:] - rois[:, :1]) * places
    inside = (times >= -1) & (times <= length)
    times = times.clamp(0, length - 1)
    lower = times.floor().long().clamp(max=max(length - 2, 0))
    share = (times - lower).to(features.dtype)[..., None]
    by_time = features.transpose(1, 2)
    before = by_time[rows[:, None], lower]
    after = by_time[rows[:, None], (lower + 1).clamp(max=length - 1)]
    samples = (before + share * (after - before)) * inside[..., None]
    return samples.reshape(len(rois), num_bins, num_samples, features.shape[1]).mean(dim=2).transpose(1, 2)
