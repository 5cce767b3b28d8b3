"""3-D convolutions of few clips, in the library that is quick at them too.

For one clip at a time torch leaves oneDNN for a plain loop over matrix products (`slow_conv3d`) in many layers, and on one
thread it does so for all filters of a single pixel. In float32 on two cores of an AMD EPYC, milliseconds in torch's choice
and in oneDNN: 8 channels, 1x3x3, 32 frames of 64x64: 22 and 2.9; 32 channels, 3x3x3, 4 frames of 28x28: 2.9 and 0.75. One
clip took X3D-M 264 and now 145, SlowFast R50 910 and 775 (torch 2.15; its rule is `use_mkldnn` in Convolution.cpp).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kinema.models.layers.depthwise import Axes

_HAS_ONEDNN = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]

_LEAST_MACS = 1_000_000
"""Below so many multiply-adds the plain loop is as quick, or quicker: 0.02 and 0.05 ms for one pixel."""


def convolve(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: Axes, padding: Axes | str, dilation: Axes, groups: int
) -> Tensor:
    """`torch.conv3d` without a gradient."""
    alike = input.dtype == weight.dtype == torch.float32 and input.device.type == "cpu" and input.ndim == 5
    if not alike or isinstance(padding, str) or torch.is_grad_enabled() or not _HAS_ONEDNN:
        return torch.conv3d(input, weight, bias, stride, padding, dilation, groups)
    spans = zip(input.shape[2:], padding, dilation, weight.shape[2:], stride, strict=True)
    places = math.prod(
        (size + 2 * around - step * (length - 1) - 1) // jump + 1 for size, around, step, length, jump in spans
    )
    if len(input) * places * weight.numel() < _LEAST_MACS:
        return torch.conv3d(input, weight, bias, stride, padding, dilation, groups)
    return torch.ops.aten.mkldnn_convolution(input, weight, bias, padding, stride, dilation, groups)
