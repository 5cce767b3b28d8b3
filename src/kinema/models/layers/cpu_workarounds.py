"""Convolutions on a CPU that torch gets wrong, or takes very long for, and what takes their place inside a block."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from kinema.models.layers import depthwise, short_clips, small_batches

Replacements = dict[Any, tuple[int, Callable[..., Tensor]]]
"""For functions of torch over how many axes they go, and what takes their place."""


class _Replaced(TorchFunctionMode):
    by: Replacements

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func not in self.by:
            return func(*args, **(kwargs or {}))
        axes, convolve = self.by[func]
        return convolve(*_spelt_out(axes, *args, **(kwargs or {})))


class MendedConvolutions(_Replaced):
    """Inside the block, whatever network learns in half precision, gradients of convolutions are right, and fast.

    It is about clips shorter than a filter, and about strided filters on single channels; what comes out is the same.
    """

    by: Replacements = {torch.conv2d: (2, depthwise.convolve), torch.conv3d: (3, short_clips.convolve)}


class QuickConvolutions(_Replaced):
    """Inside the block, whatever network answers in float32, single clips go through it as quickly as many.

    Every call of torch inside costs a microsecond more, a fifth of the time of small networks that go frame by frame: it is
    for those with 3-D convolutions, on whole clips.
    """

    by: Replacements = {torch.conv3d: (3, small_batches.convolve)}


def _spelt_out(  # as torch's own
    axes: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> tuple[Any, ...]:
    """All arguments of a convolution in order, with one number an axis where torch takes one for all too."""

    def each(value: Any) -> Any:
        if isinstance(value, str):
            return value
        values = (value,) if isinstance(value, int) else tuple(value)
        return values * axes if len(values) == 1 else values

    return input, weight, bias, each(stride), each(padding), each(dilation), groups
