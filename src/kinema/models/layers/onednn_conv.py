"""3-D convolutions that run in oneDNN for single clips too, for scoring in float32 on a CPU.

For one clip torch leaves oneDNN for a plain loop over matrix products (`slow_conv3d`) in many layers, and with one thread
in all 1x1x1 convolutions; its rule is `use_mkldnn` in Convolution.cpp. Milliseconds in torch's choice and in oneDNN, two
cores of an AMD EPYC, torch 2.15: 8 channels, 1x3x3, 32 frames of 64x64: 22 and 2.9; 32 channels, 3x3x3, 4 frames of
28x28: 2.9 and 0.75. A whole clip: x3d_m 264 and 145, slow_fusion_small 20 and 10.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from kinema.models.layers.depthwise import Axes, DepthwiseConv3d
from kinema.models.layers.grey_time import GreyTime

_HAS_ONEDNN = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]

_LEAST_MACS = 1_000_000
"""Below so many multiply-adds the plain loop is as fast, or faster: 0.02 and 0.05 ms for one pixel."""


class OneDnnConv3d(nn.Conv3d):
    """`nn.Conv3d` that runs in oneDNN inside `torch.inference_mode`; everywhere else it is torch's."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.padding_mode != "zeros" or isinstance(self.padding, str):
            return super()._conv_forward(input, weight, bias)
        return convolve(input, weight, bias, self.stride, self.padding, self.dilation, self.groups)


def use_onednn(network: nn.Module) -> None:
    """Let the 3-D convolutions of a network run in oneDNN for single clips, in place; it is for scoring only."""
    for layer in network.modules():
        if type(layer) in (nn.Conv3d, DepthwiseConv3d):
            layer.__class__ = OneDnnConv3d  # the three have the same attributes
        elif isinstance(layer, GreyTime):
            layer.convolve = convolve


def convolve(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Axes = (1, 1, 1),
    padding: Axes = (0, 0, 0),
    dilation: Axes = (1, 1, 1),
    groups: int = 1,
) -> Tensor:
    """`torch.conv3d`, in oneDNN inside `torch.inference_mode` if the layer is in float32, on the CPU and not tiny."""
    fitting = input.dtype == weight.dtype == torch.float32 and input.device.type == "cpu" and input.ndim == 5
    if not (fitting and torch.is_inference_mode_enabled() and _HAS_ONEDNN) or torch.is_autocast_enabled("cpu"):
        return torch.conv3d(input, weight, bias, stride, padding, dilation, groups)
    axes = zip(input.shape[2:], padding, dilation, weight.shape[2:], stride, strict=True)
    outputs = math.prod((size + 2 * pad - gap * (length - 1) - 1) // step + 1 for size, pad, gap, length, step in axes)
    if len(input) * outputs * weight.numel() < _LEAST_MACS:
        return torch.conv3d(input, weight, bias, stride, padding, dilation, groups)
    return torch.ops.aten.mkldnn_convolution(input, weight, bias, padding, stride, dilation, groups)
