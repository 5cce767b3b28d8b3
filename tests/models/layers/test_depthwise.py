"""Filters on single channels: the fast gradients are torch's own."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from kinema.models.device import autocast
from kinema.models.layers.depthwise import DepthwiseConv3d


def gradients(layer: nn.Module, clip: torch.Tensor, above: torch.Tensor) -> tuple[torch.Tensor, ...]:
    clip = clip.clone().requires_grad_()
    made = layer(clip)
    return made, *torch.autograd.grad(made, (clip, *layer.parameters()), above)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("shape", [(4, 9, 8), (1, 5, 5), (2, 1, 2), (3, 6, 7)])
def test_gradients_are_those_of_torch(stride: int, shape: tuple[int, ...]):
    torch.manual_seed(0)
    ours = DepthwiseConv3d(6, stride).double()
    theirs = nn.Conv3d(6, 6, 3, (1, stride, stride), 1, groups=6, bias=False).double()
    theirs.load_state_dict(ours.state_dict())
    clip = torch.randn(2, 6, *shape, dtype=torch.float64)
    above = torch.randn_like(theirs(clip))
    for own, other in zip(gradients(ours, clip, above), gradients(theirs, clip, above), strict=True):
        torch.testing.assert_close(own, other)


def test_in_half_precision_gradients_come_back_in_full():
    torch.manual_seed(0)
    layer, clip = DepthwiseConv3d(4, 2), torch.randn(2, 4, 3, 8, 8)
    whole = gradients(layer, clip, torch.ones(2, 4, 3, 4, 4))
    with torch.autocast("cpu", torch.bfloat16):
        half = gradients(layer, clip, torch.ones(2, 4, 3, 4, 4, dtype=torch.bfloat16))
    assert [grad.dtype for grad in half] == [torch.bfloat16, torch.float32, torch.float32]
    for own, other in zip(half[1:], whole[1:], strict=True):
        torch.testing.assert_close(own, other, rtol=0.05, atol=0.05)


def test_frozen_filters_get_no_gradient():
    layer = DepthwiseConv3d(4)
    layer.requires_grad_(False)
    clip = torch.randn(1, 4, 2, 5, 5, requires_grad=True)
    layer(clip).sum().backward()
    assert clip.grad is not None
    assert layer.weight.grad is None


def test_export_sees_a_plain_convolution():
    exported = torch.export.export(DepthwiseConv3d(4).eval(), (torch.zeros(1, 4, 2, 5, 5),))
    assert [str(node.target) for node in exported.graph.nodes if node.op == "call_function"] == ["aten.conv3d.default"]


@pytest.mark.parametrize("stride", [2, (1, 2), 3])
@pytest.mark.parametrize("padding", [0, 1, (0, 1)])
def test_strided_filters_on_frames_learn_as_in_f32(stride: int, padding: int):
    """Also where torch would compute in bfloat16, of which a thousandth part is left to rounding."""
    torch.manual_seed(0)
    layer = nn.Conv2d(16, 16, 3, stride, padding, groups=16, bias=False)
    frames = torch.randn(4, 16, 12, 9).to(memory_format=torch.channels_last)
    whole = gradients(layer, frames, above := torch.randn_like(layer(frames)))
    with autocast(torch.device("cpu"), "bf16"):
        half = gradients(layer, frames, above.bfloat16())
    assert [part.dtype for part in half] == [torch.bfloat16, torch.float32, torch.float32]
    for own, other in zip(half, whole, strict=True):
        torch.testing.assert_close(own.float(), other, rtol=0.02, atol=0.02 * float(other.detach().abs().max()))


def test_torch_is_not_asked_for_the_slow_gradients():
    """In a whole MobileNet, no strided filter on single channels goes back in bfloat16."""
    network = timm.create_model("mobilenetv2_100", num_classes=3, in_chans=3)
    seen = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.ops.aten.convolution_backward.default and args[9] > 1 and max(args[4]) > 1:
                seen.append(args[1].dtype)
            return func(*args, **(kwargs or {}))

    with autocast(torch.device("cpu"), "bf16"):
        logits = network(torch.randn(2, 3, 64, 64))
    with Watch():
        logits.float().sum().backward()
    assert seen == [torch.float32] * 4
