"""Correct gradients for clips that are shorter than a filter over time.

In bfloat16 on a CPU, oneDNN's weight gradients of 3-D convolutions are garbage if the clip has more than one time step
but fewer than the filter (filter 3 and 2 steps, 5 and 3 …) and the stride over time is 1: values of 1e34 or NaN, in some
calls and not in others (torch 2.11 to 2.15, AVX-512 BF16). Networks that end in two time steps have such layers, such
as R3D-18 and C3D on 16 frames. If the clip is padded with zeros before the convolution instead of by it, gradients equal
those of float32 up to rounding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from kinema.models.layers.depthwise import Axes


def convolve(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: Axes, padding: Axes | str, dilation: Axes, groups: int
) -> Tensor:
    """`torch.conv3d`; if the clip is shorter than the filter, the padding over time is a separate operation."""
    if not isinstance(padding, str):
        time, *space = padding
        if time and 1 < input.shape[-3] < weight.shape[-3] and stride[0] == 1:
            input, padding = F.pad(input, (0, 0, 0, 0, time, time)), (0, *space)
    return torch.conv3d(input, weight, bias, stride, padding, dilation, groups)
