"""A filter on each channel alone, with gradients that a CPU computes fast.

On a CPU, torch's own backward pass of a 3x3x3 convolution of that kind can take a hundred times as long as its forward
pass. The same numbers come from operations that are fast there: the gradient of the input is the convolution, backwards,
of the gradient of the output; that of the weights is that of three filters on single frames, one for each place in time.

In two dimensions it is only the strided ones that are slow, and only in half precision: 7 to 40 times slower than in float32
(torch 2.15, AVX-512 BF16). Where a MobileNet or an EfficientNet learns, four or five such layers take most of a step.
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
"""One number an axis."""


class DepthwiseConv3d(nn.Conv3d):
    """A 3x3x3 convolution on each channel, padded by 1, without bias.

    Args:
        channels: that come in and go out.
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
    """`torch.conv2d` under autocast; gradients of strided filters on single channels are computed in float32."""
    depthwise = groups > 1 and groups == input.shape[-3] == len(weight)
    if depthwise and max(stride) > 1 and bias is None and input.ndim == 4 and not isinstance(padding, str):
        half = torch.get_autocast_dtype(input.device.type)
        return _Strided.apply(input.to(half), weight.to(half), stride, padding, dilation)
    return torch.conv2d(input, weight, bias, stride, padding, dilation, groups)


class _Strided(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: Any, padding: Any, dilation: Any) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.how = stride, padding, dilation
        return torch.conv2d(x, weight, None, stride, padding, dilation, len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        wide = (part.float().contiguous(memory_format=torch.channels_last) for part in (grad, x, weight))
        of_x, of_weight, _ = torch.ops.aten.convolution_backward(
            *wide, None, *ctx.how, False, (0, 0), len(weight), (*ctx.needs_input_grad[:2], False)
        )
        found = (of_x, of_weight)
        return (*(None if part is None else part.to(x.dtype) for part in found), None, None, None)


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
        of_x, of_weight, _ = ctx.needs_input_grad
        return (
            _grad_of_input(grad, weight.to(grad.dtype), x, ctx.stride).to(x.dtype) if of_x else None,
            _grad_of_weight(grad, weight, x.to(grad.dtype), ctx.stride).to(weight.dtype) if of_weight else None,
            None,
        )


def _grad_of_input(grad: Tensor, weight: Tensor, x: Tensor, stride: int) -> Tensor:
    if stride > 1:  # put each number back where its window stood
        spread = torch.zeros_like(x, dtype=grad.dtype)
        spread[..., ::stride, ::stride] = grad
        grad = spread
    return F.conv3d(grad, weight.flip(2, 3, 4), None, 1, 1, groups=len(weight))


def _grad_of_weight(grad: Tensor, weight: Tensor, x: Tensor, stride: int) -> Tensor:
    t, shape = x.shape[2], weight[:, :, 0].shape
    taps = []
    for shift in (-1, 0, 1):  # the filter's frame lies so many frames after the output's
        seen = slice(max(shift, 0), t + min(shift, 0))
        made = slice(max(-shift, 0), t + min(-shift, 0))
        frames, above = _frames(x[:, :, seen]), _frames(grad[:, :, made])
        taps.append(conv2d_weight(frames, shape, above, stride, 1, groups=len(weight)))  # type: ignore[no-untyped-call]
    return torch.stack(taps, 2)


def _frames(x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "bt c h w"]:
    return x.transpose(1, 2).flatten(0, 1)
