"""Filters on single channels: the fast gradients are torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kinema.models.depthwise import DepthwiseConv3d


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
