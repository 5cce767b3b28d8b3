from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from kinema.models.layers.cpu_workarounds import QuickConvolutions


def operations(network: nn.Module, clip: torch.Tensor, *, quick: bool = True) -> set[str]:
    with torch.inference_mode(), profile(activities=[ProfilerActivity.CPU]) as seen:
        if quick:
            with QuickConvolutions():
                network(clip)
        else:
            network(clip)
    return {event.key for event in seen.key_averages()}


@pytest.mark.parametrize(
    ("conv", "channels"),
    [
        (nn.Conv3d(8, 8, (1, 3, 3), padding=(0, 1, 1)), 8),
        (nn.Conv3d(8, 16, 3, stride=(1, 2, 2), padding=(1, 0, 2), bias=False), 8),
        (nn.Conv3d(8, 12, 1), 8),
        (nn.Conv3d(8, 16, (3, 1, 1), dilation=(2, 1, 1), padding=(2, 0, 0), groups=2), 8),
        (nn.Conv3d(8, 16, 3, padding="same"), 8),
        (nn.Conv3d(8, 16, 3, padding=1, padding_mode="replicate"), 8),
    ],
    ids=["spatial", "strided", "pixel", "groups", "same", "replicate"],
)
@pytest.mark.parametrize("size", [(8, 40, 40), (5, 3, 3)])
def test_what_comes_out_is_the_same(conv: nn.Conv3d, channels: int, size: tuple[int, int, int]):
    torch.manual_seed(0)
    clip = torch.randn(1, channels, *size)
    with torch.inference_mode():
        expected = conv(clip)
        with QuickConvolutions():
            torch.testing.assert_close(conv(clip), expected)


def test_one_clip_goes_through_onednn_where_torch_would_not():
    conv, clip = nn.Conv3d(8, 8, (1, 3, 3), padding=(0, 1, 1)), torch.randn(1, 8, 32, 32, 32)
    assert "aten::slow_conv3d_forward" in operations(conv, clip, quick=False)
    assert "aten::slow_conv3d_forward" not in operations(conv, clip)


def test_a_pixel_does_not():
    conv, clip = nn.Conv3d(54, 8, 1), torch.randn(1, 54, 1, 1, 1)
    assert "aten::mkldnn_convolution" not in operations(conv, clip)


def test_gradients_are_left_alone():
    conv, clip = nn.Conv3d(8, 8, 3, padding=1), torch.randn(1, 8, 8, 32, 32)
    with QuickConvolutions():
        conv(clip).sum().backward()
    assert conv.weight.grad is not None
