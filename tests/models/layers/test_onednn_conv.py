from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from kinema.models import build
from kinema.models.layers.depthwise import DepthwiseConv3d
from kinema.models.layers.grey_time import GreyTime
from kinema.models.layers.onednn_conv import use_onednn
from kinema.types import InputSpec


def quick(network: nn.Module) -> nn.Module:
    changed = copy.deepcopy(network)
    use_onednn(changed)
    return changed


def operations(network: nn.Module, clip: torch.Tensor) -> set[str]:
    with torch.inference_mode(), profile(activities=[ProfilerActivity.CPU]) as seen:
        network(clip)
    return {event.key for event in seen.key_averages()}


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv3d(8, 8, (1, 3, 3), padding=(0, 1, 1)),
        nn.Conv3d(8, 16, 3, stride=(1, 2, 2), padding=(1, 0, 2), bias=False),
        nn.Conv3d(8, 12, 1),
        nn.Conv3d(8, 16, (3, 1, 1), dilation=(2, 1, 1), padding=(2, 0, 0), groups=2),
        nn.Conv3d(8, 16, 3, padding="same"),
        nn.Conv3d(8, 16, 3, padding=1, padding_mode="replicate"),
        DepthwiseConv3d(8, 2),
    ],
    ids=["spatial", "strided", "pixel", "groups", "same", "replicate", "depthwise"],
)
@pytest.mark.parametrize("size", [(8, 40, 40), (5, 3, 3)])
def test_what_comes_out_is_the_same(conv: nn.Conv3d, size: tuple[int, int, int]):
    torch.manual_seed(0)
    clip = torch.randn(1, 8, *size)
    with torch.inference_mode():
        torch.testing.assert_close(quick(conv)(clip), conv(clip))


def test_one_clip_goes_through_onednn_where_torch_would_not():
    conv, clip = nn.Conv3d(8, 8, (1, 3, 3), padding=(0, 1, 1)), torch.randn(1, 8, 32, 32, 32)
    assert "aten::slow_conv3d_forward" in operations(conv, clip)
    assert "aten::slow_conv3d_forward" not in operations(quick(conv), clip)


@pytest.mark.parametrize("name", ["slow_fusion_small", "i3d_rgb", "x3d_xs", "mvit_small"])
def test_no_layer_of_a_network_is_left_to_the_plain_loop(name: str):
    """Subclasses of torch's layer and layers of torchvision go through oneDNN too."""
    network = build(name, num_classes=2, spec={"clip_len": 8, "size": (64, 64)}).eval()
    fast, clip = quick(network), torch.randn(1, *network.spec.shape)
    assert "aten::mkldnn_convolution" in operations(fast, clip)
    with torch.inference_mode():
        torch.testing.assert_close(fast(clip), network(clip), rtol=1e-4, atol=1e-5)


def test_grey_time_goes_through_onednn():
    layer, clip = GreyTime(InputSpec(clip_len=24, size=(112, 112))), torch.randn(1, 3, 24, 112, 112)
    assert "aten::slow_conv3d_forward" in operations(layer, clip)
    assert "aten::slow_conv3d_forward" not in operations(quick(layer), clip)


def test_a_pixel_does_not():
    assert "aten::mkldnn_convolution" not in operations(quick(nn.Conv3d(54, 8, 1)), torch.randn(1, 54, 1, 1, 1))


def test_bfloat16_is_left_to_torch():
    conv, clip = nn.Conv3d(8, 8, (1, 3, 3), padding=(0, 1, 1)), torch.randn(2, 8, 8, 32, 32)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        out, expected = quick(conv)(clip), conv(clip)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out, expected, rtol=0, atol=0)


def test_gradients_are_left_alone():
    conv, clip = quick(nn.Conv3d(8, 8, 3, padding=1)), torch.randn(1, 8, 8, 32, 32)
    conv(clip).sum().backward()
    assert conv.weight.grad is not None


def test_weights_and_their_names_stay():
    conv = nn.Conv3d(8, 8, 3)
    shared = quick(conv)
    assert isinstance(shared, nn.Conv3d)
    assert list(shared.state_dict()) == list(conv.state_dict())
