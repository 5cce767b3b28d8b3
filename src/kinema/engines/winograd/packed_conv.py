"""Convolutions of few places, whose filters lie in memory as oneDNN reads them, in float32 on a CPU.

Torch keeps filters in its own order, and oneDNN puts them into another one in every call. Where filters are large and a call
computes few places, that takes as long as the convolution. Milliseconds with two threads on an AMD EPYC, by oneDNN and by
this: 512 channels on 2 frames of 7 x 7, filters of 3 x 3 x 3 8.1 -> 4.8, of 1 x 3 x 3 to 1,152 channels 6.6 -> 4.6; 256 to 512
from 4 frames of 14 x 14, 3 x 3 x 3 with a stride of 2, 4.7 -> 3.4. It is a tenth for 400 places and a twentieth for 800.

The two functions of torch are those that its compiler uses for the same purpose.
"""

from __future__ import annotations

import threading
from math import prod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

HAS_ONEDNN = (
    torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    and hasattr(torch._C._nn, "mkldnn_reorder_conv3d_weight")
)
_MOST_PLACES = 511
_LEAST_WEIGHTS = 2**18
_making = threading.Lock()


class PackedConv(nn.Module):
    """A convolution, for inference.

    It computes as the convolution itself does where gradients are wanted, in other formats than float32, on other devices
    than CPUs, and where a call has many places. Filters are put in order in the first call that pays, to a copy; the
    weights must stay as they are from then on.

    Args:
        conv: one that `suits`; its weights are shared.
        relu: whether a rectifier follows.
    """

    def __init__(self, conv: nn.Conv2d | nn.Conv3d, relu: bool = False) -> None:
        super().__init__()
        self.weight, self.bias, self.relu = conv.weight, conv.bias, relu
        self._how: tuple[Any, ...] = (conv.padding, conv.stride, conv.dilation, conv.groups)
        self._packed: Tensor | None = None
        self.train(conv.training)

    @classmethod
    def suits(cls, conv: nn.Conv2d | nn.Conv3d) -> bool:
        """Whether it has filters enough, in float32 on a CPU, and pads with zeros."""
        return HAS_ONEDNN and is_plain(conv) and conv.weight.numel() >= _LEAST_WEIGHTS and conv.groups == 1

    def forward(self, x: Float[Tensor, "b c *t h w"]) -> Float[Tensor, "b d *u v w"]:
        """As `nn.Conv2d` or `nn.Conv3d`; with channels side by side in memory where it has few places."""
        out = self._in_order(x) if self._can_take(x) and self._has_few_places(x) else self._as_usual(x)
        return F.relu(out, inplace=True) if self.relu else out

    def __getstate__(self) -> dict[str, Any]:
        """What a copy gets: not the filters in their order, which cannot be copied."""
        return self.__dict__ | {"_packed": None}

    def _as_usual(self, x: Tensor) -> Tensor:
        padding, stride, dilation, groups = self._how
        convolve = F.conv2d if self.weight.ndim == 4 else F.conv3d
        return convolve(x, self.weight, self.bias, stride, padding, dilation, groups)

    def _in_order(self, x: Tensor) -> Tensor:
        last = x.contiguous(memory_format=torch.channels_last if x.ndim == 4 else torch.channels_last_3d)
        with _making, torch.inference_mode(False), torch.no_grad():
            if self._packed is None:
                self._packed = self._pack(last)
        convolve: Any = torch.ops.mkldnn._convolution_pointwise
        out: Tensor = convolve(last, self._packed, self.bias, *self._how, "none", [], "")
        return out

    def _pack(self, x: Tensor) -> Tensor:
        of_torch: Any = torch._C._nn
        two = self.weight.ndim == 4
        pack = of_torch.mkldnn_reorder_conv2d_weight if two else of_torch.mkldnn_reorder_conv3d_weight
        packed: Tensor = pack(self.weight.detach().to_mkldnn(), *self._how, x.shape)
        return packed

    def _can_take(self, x: Tensor) -> bool:
        weights = [self.weight] if self.bias is None else [self.weight, self.bias]
        return (
            type(x) is Tensor
            and x.ndim == self.weight.ndim
            and x.shape[1] == self.weight.shape[1] * self._how[-1]
            and all(value.dtype == torch.float32 and value.device.type == "cpu" for value in (x, *weights))
            and not (torch.is_grad_enabled() and any(value.requires_grad for value in (x, *weights)))
            and not (torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling() or torch._C._is_tracing())
        )

    def _has_few_places(self, x: Tensor) -> bool:
        """Whether putting filters in order would take long beside the convolution."""
        many = self.weight.numel() >= _LEAST_WEIGHTS and self._how[-1] == 1
        return HAS_ONEDNN and many and 0 < len(x) * prod(self._sizes(x)) <= _MOST_PLACES

    def _sizes(self, x: Tensor) -> list[int]:
        """Of the output: t, h and w."""
        padding, stride, dilation, _ = self._how
        axes = zip(x.shape[2:], self.weight.shape[2:], padding, stride, dilation, strict=True)
        return [max((size + 2 * pad - gap * (length - 1) - 1) // step + 1, 0) for size, length, pad, step, gap in axes]


def is_plain(conv: nn.Conv2d | nn.Conv3d) -> bool:
    """Whether it pads with a given number of zeros and computes in float32 on a CPU."""
    return (
        conv.padding_mode == "zeros"
        and not isinstance(conv.padding, str)
        and conv.weight.dtype == torch.float32
        and conv.weight.device.type == "cpu"
    )
