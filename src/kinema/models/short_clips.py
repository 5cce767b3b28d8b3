"""Right gradients for clips that are shorter than a filter over time.

In bfloat16 on a CPU, oneDNN's weight gradients of 3-D convolutions are garbage where the clip has more than one time
step but fewer than the filter is long (3 over 2, 5 over 3 …) and the stride over time is 1: values of 1e34 or no
numbers at all, in some calls and not in others (torch 2.11 to 2.15, AVX-512 BF16). Every network that ends in two time
steps has such layers: R3D-18 and C3D on 16 frames, for instance. With the zeros put around the clip beforehand
instead of by the convolution, gradients are those of float32 up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def convolve(  # as torch's own
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """`torch.conv3d`, with the padding over time in a step of its own where the clip is shorter than the filter."""
    if not isinstance(padding, str):
        time, *space = _three(padding)
        if time and 1 < input.shape[-3] < weight.shape[-3] and _three(stride)[0] == 1:
            input, padding = F.pad(input, (0, 0, 0, 0, time, time)), (0, *space)
    return torch.conv3d(input, weight, bias, stride, padding, dilation, groups)


def _three(value: int | Sequence[int]) -> tuple[int, ...]:
    """One number for all axes, or one each."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * 3 if len(values) == 1 else values
