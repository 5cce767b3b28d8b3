"""Training in half precision on a CPU: convolutions whose gradients its library gets wrong, or takes very long for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from kinema.models import depthwise, short_clips

_MENDED: dict[Any, tuple[int, Callable[..., Tensor]]] = {
    torch.conv2d: (2, depthwise.convolve),
    torch.conv3d: (3, short_clips.convolve),
}
"""Over how many axes torch's function goes, and what takes its place."""


class MendedConvolutions(TorchFunctionMode):
    """Inside the block, whatever network runs, convolutions are those whose gradients are right, and fast.

    It is about clips shorter than a filter, and about strided filters on single channels; what comes out is the same.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func not in _MENDED:
            return func(*args, **(kwargs or {}))
        axes, convolve = _MENDED[func]
        return convolve(*_spelt_out(axes, *args, **(kwargs or {})))


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
