"""Depthwise convolutions whose gradients are fast on a CPU.

On a CPU, torch's backward pass of a depthwise 3x3x3 convolution can take a hundred times as long as its forward pass.
Fast operations give the same numbers: the gradient of the input is a convolution of the output's gradient with the
flipped filter; that of the weights is computed for three 2-D filters, one for each position in time.

In two dimensions only strided filters are slow, and only in half precision: 7 to 40 times slower than in float32 (torch
2.15, AVX-512 BF16). In a MobileNet or an EfficientNet, four or five such layers take most of a training step.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight

Axes = tuple[int, ...]
"""One number for each axis."""


class DepthwiseConv3d(nn.Conv3d):
    """A depthwise 3x3x3 convolution, padded by 1, without bias.

    Args:
        channels: in and out.
        stride: over space.
    """

    def __init__(self, channels: int, stride: int = 1) -> None:
        super().__init__(channels, channels, 3, (1, stride, stride), 1, groups=channels, bias=False)

    def forward(self, x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c t y x"]:
        """As `nn.Conv3d`."""
        if x.device.type == "cpu" and torch.is_grad_enabled() and not torch.compiler.is_compiling():
            return _Depthwise.apply(x, self.weight, self.stride[1])
        return super().forward(x)


def convolve(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: Axes, padding: Axes | str, dilation: Axes, groups: int
) -> Tensor:
    """`torch.conv2d` under autocast; gradients of strided depthwise filters are computed in float32."""
    is_depthwise = groups > 1 and groups == input.shape[-3] == len(weight)
    if is_depthwise and max(stride) > 1 and bias is None and input.ndim == 4 and not isinstance(padding, str):
        half = torch.get_autocast_dtype(input.device.type)
        return _Strided.apply(input.to(half), weight.to(half), stride, padding, dilation)
    return torch.conv2d(input, weight, bias, stride, padding, dilation, groups)


class _Strided(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: Axes, padding: Axes, dilation: Axes) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.options = stride, padding, dilation
        return torch.conv2d(x, weight, None, stride, padding, dilation, len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        wide = (part.float().contiguous(memory_format=torch.channels_last) for part in (grad, x, weight))
        of_x, of_weight, _ = torch.ops.aten.convolution_backward(
            *wide, None, *ctx.options, False, (0, 0), len(weight), (*ctx.needs_input_grad[:2], False)
        )
        grads = (None if part is None else part.to(x.dtype) for part in (of_x, of_weight))
        return (*grads, None, None, None)


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return F.conv3d(x, weight, None, (1, stride, stride), 1, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, _ = ctx.needs_input_grad
        of_x = of_weight = None
        if needs_x:
            spread = grad
            if ctx.stride > 1:  # put each number where its window was
                spread = torch.zeros_like(x, dtype=grad.dtype)
                spread[..., :: ctx.stride, :: ctx.stride] = grad
            filters = weight.to(grad.dtype).flip(2, 3, 4)
            of_x = F.conv3d(spread, filters, None, 1, 1, groups=len(weight)).to(x.dtype)
        if needs_weight:
            of_weight = _weight_grad(grad, weight, x.to(grad.dtype), ctx.stride).to(weight.dtype)
        return of_x, of_weight, None


def _weight_grad(grad: Tensor, weight: Tensor, x: Tensor, stride: int) -> Tensor:
    t, shape = x.shape[2], weight[:, :, 0].shape
    taps = []
    for shift in (-1, 0, 1):  # by how many frames the input of this part of the filter follows the output
        inputs = slice(max(shift, 0), t + min(shift, 0))
        outputs = slice(max(-shift, 0), t + min(-shift, 0))
        frames, above = _frames(x[:, :, inputs]), _frames(grad[:, :, outputs])
        taps.append(conv2d_weight(frames, shape, above, stride, 1, groups=len(weight)))  # type: ignore[no-untyped-call]
    return torch.stack(taps, 2)


def _frames(x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "bt c h w"]:
    return x.transpose(1, 2).flatten(0, 1)
