"""Convolutions that torch trains wrongly or slowly in half precision on a CPU, replaced inside a block.

A `TorchFunctionMode` rather than layers of our own: it holds for every network, also of timm and of users.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from kinema.models.layers import depthwise, short_clips

_REPLACED: Mapping[object, tuple[int, Callable[..., Tensor]]] = {
    torch.conv2d: (2, depthwise.convolve),
    torch.conv3d: (3, short_clips.convolve),
}
"""For functions of torch: the number of axes that they slide over, and the function to call instead."""

_DEFAULTS = {"bias": None, "stride": 1, "padding": 0, "dilation": 1, "groups": 1}
_NAMES = ("input", "weight", *_DEFAULTS)


class MendedConvolutions(TorchFunctionMode):
    """Inside the block, gradients of convolutions in half precision are right, and computed fast.

    It concerns clips shorter than a filter (`short_clips`) and strided depthwise filters (`depthwise`); same outputs.
    """

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        if func not in _REPLACED:
            return func(*args, **(kwargs or {}))
        axes, convolve = _REPLACED[func]
        given = {**_DEFAULTS, **dict(zip(_NAMES, args, strict=False)), **(kwargs or {})}
        for name in ("stride", "padding", "dilation"):  # one number an axis
            value = given[name]
            if not isinstance(value, str):
                numbers = (value,) if isinstance(value, int) else tuple(cast(Sequence[int], value))
                given[name] = numbers * axes if len(numbers) == 1 else numbers
        return convolve(**given)
