"""Convolutions with few output positions, whose filters are kept in oneDNN's memory order, in float32 on a CPU.

Torch keeps filters in its own order and oneDNN reorders them at every call. With large filters and few output positions, the
reordering takes as long as the convolution. Milliseconds with two threads on an AMD EPYC, oneDNN -> this layer: 512 channels
on 2 frames of 7 x 7, filters of 3 x 3 x 3 8.1 -> 4.8, of 1 x 3 x 3 to 1,152 channels 6.6 -> 4.6; 256 to 512 channels from
4 frames of 14 x 14, 3 x 3 x 3 with stride 2, 4.7 -> 3.4. It saves a tenth at 400 positions and a twentieth at 800.

The two torch functions are those that torch's compiler uses for the same purpose.
"""

from __future__ import annotations

import threading
from math import prod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.models.layers import onednn_conv

HAS_ONEDNN = (
    torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    and hasattr(torch._C._nn, "mkldnn_reorder_conv3d_weight")
)
_MOST_POSITIONS = 511
_LEAST_WEIGHTS = 2**18
_packing = threading.Lock()


class PackedConv(nn.Module):
    """A convolution for inference.

    It computes like the original convolution if gradients are needed, in other precisions than float32, on other devices
    than CPUs, and for many output positions. The first call with few positions makes a reordered copy of the filters; the
    weights must not be changed from then on.

    Args:
        conv: a convolution that `suits`; its weights are shared.
        relu: whether a ReLU follows.
    """

    def __init__(self, conv: nn.Conv2d | nn.Conv3d, relu: bool = False) -> None:
        super().__init__()
        self.weight, self.bias, self.relu = conv.weight, conv.bias, relu
        self._options: tuple[Any, ...] = (conv.padding, conv.stride, conv.dilation, conv.groups)
        self._packed: Tensor | None = None
        self.train(conv.training)

    @classmethod
    def suits(cls, conv: nn.Conv2d | nn.Conv3d) -> bool:
        """Whether a convolution has large filters, in float32 on a CPU, and pads with zeros."""
        return HAS_ONEDNN and is_plain(conv) and conv.weight.numel() >= _LEAST_WEIGHTS and conv.groups == 1

    def forward(self, x: Float[Tensor, "b c *t h w"]) -> Float[Tensor, "b d *u v w"]:
        """As `nn.Conv2d` or `nn.Conv3d`; the output is channels-last if the filters are packed."""
        if self._can_take(x) and self._has_few_positions(x):
            last = x.contiguous(memory_format=torch.channels_last if x.ndim == 4 else torch.channels_last_3d)
            with _packing, torch.inference_mode(False), torch.no_grad():
                if self._packed is None:
                    nn_ops: Any = torch._C._nn
                    is_2d = self.weight.ndim == 4
                    pack = nn_ops.mkldnn_reorder_conv2d_weight if is_2d else nn_ops.mkldnn_reorder_conv3d_weight
                    self._packed = pack(self.weight.detach().to_mkldnn(), *self._options, last.shape)
            convolve: Any = torch.ops.mkldnn._convolution_pointwise
            out = convolve(last, self._packed, self.bias, *self._options, "none", [], "")
        else:
            padding, stride, dilation, groups = self._options
            plain: Any = F.conv2d if self.weight.ndim == 4 else onednn_conv.convolve
            out = plain(x, self.weight, self.bias, stride, padding, dilation, groups)
        return F.relu(out, inplace=True) if self.relu else out

    def __getstate__(self) -> dict[str, object]:
        """State for a copy, without the packed filters, which cannot be copied."""
        return self.__dict__ | {"_packed": None}

    def _can_take(self, x: Tensor) -> bool:
        """Whether oneDNN's functions accept the input; else torch computes."""
        weights = [self.weight] if self.bias is None else [self.weight, self.bias]
        return (
            type(x) is Tensor
            and x.ndim == self.weight.ndim
            and x.shape[1] == self.weight.shape[1] * self._options[-1]
            and all(value.dtype == torch.float32 and value.device.type == "cpu" for value in (x, *weights))
            and not (torch.is_grad_enabled() and any(value.requires_grad for value in (x, *weights)))
            and not (torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling() or torch._C._is_tracing())
        )

    def _has_few_positions(self, x: Tensor) -> bool:
        """Whether reordering the filters would take long compared with the convolution."""
        if not HAS_ONEDNN or self.weight.numel() < _LEAST_WEIGHTS or self._options[-1] != 1:
            return False
        padding, stride, dilation, _ = self._options
        axes = zip(x.shape[2:], self.weight.shape[2:], padding, stride, dilation, strict=True)
        sizes = [max((size + 2 * pad - gap * (length - 1) - 1) // step + 1, 0) for size, length, pad, step, gap in axes]
        return 0 < len(x) * prod(sizes) <= _MOST_POSITIONS


def is_plain(conv: nn.Conv2d | nn.Conv3d) -> bool:
    """Whether a convolution pads with a fixed number of zeros and computes in float32 on a CPU."""
    return (
        conv.padding_mode == "zeros"
        and not isinstance(conv.padding, str)
        and conv.weight.dtype == torch.float32
        and conv.weight.device.type == "cpu"
    )
