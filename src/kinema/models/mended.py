"""Training in half precision on a CPU: convolutions whose gradients its library gets wrong, or takes very long for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from kinema.models import depthwise, short_clips

_MENDED: dict[Any, Callable[..., Any]] = {torch.conv2d: depthwise.convolve, torch.conv3d: short_clips.convolve}


class MendedConvolutions(TorchFunctionMode):
    """Inside the block, whatever network runs, convolutions are those whose gradients are right, and fast.

    It is about clips shorter than a filter, and about strided filters on single channels; what comes out is the same.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _MENDED.get(func, func)(*args, **(kwargs or {}))
