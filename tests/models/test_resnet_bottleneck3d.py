"""Bottleneck networks against PyTorchVideo's builders: counts, weights, logits, also where the head's window slides."""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from kinema.inspection.summary import summarize
from kinema.models import build, build_without_weights
from kinema.models.resnet_bottleneck3d import FROM_PYTORCHVIDEO, FROM_PYTORCHVIDEO_POOLED, WindowedMean
from kinema.models.state_dict import check_fit
from kinema.weights.convert import convert

FLAT = ((1, 1, 1),) * 4
I3D_KERNELS = ((3, 1, 1), [(3, 1, 1), (1, 1, 1)], [(3, 1, 1), (1, 1, 1)], [(1, 1, 1), (3, 1, 1)])
HUB: dict[str, dict[str, Any]] = {
    "slow_r50": {"stem_conv_kernel_size": (1, 7, 7), "head_pool_kernel_size": (8, 7, 7)},
    "c2d_r50": {
        "stem_conv_kernel_size": (1, 7, 7),
        "stage1_pool": nn.MaxPool3d,
        "stage_conv_a_kernel_size": FLAT,
    },
    "i3d_r50": {
        "stem_conv_kernel_size": (5, 7, 7),
        "stage1_pool": nn.MaxPool3d,
        "stage_conv_a_kernel_size": I3D_KERNELS,
    },
    "r2plus1d_r50": {"dropout_rate": 0.5, "head_activation": None},
}
"""What torch.hub gives to the builders, and scores before softmax."""


@pytest.fixture(scope="module")
def theirs() -> ModuleType:
    pytest.importorskip("pytorchvideo")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pytorchvideo.models import r2plus1d, resnet
    module = ModuleType("builders")
    module.__dict__.update(create_resnet=resnet.create_resnet, create_r2plus1d=r2plus1d.create_r2plus1d)
    return module


@pytest.mark.parametrize(
    ("name", "shape", "params", "gmacs"),
    [
        ("slow_r50", (8, 224), 32_454_096, 41.74),
        ("slow_r50", (8, 256), 32_454_096, 54.52),
        ("c2d_r50", (8, 256), 24_327_632, 25.46),
        ("i3d_r50", (8, 256), 28_043_472, 37.10),
        ("r2plus1d_r50", (16, 256), 28_107_600, 75.15),
    ],
)
def test_counts_are_the_published_ones(name: str, shape: tuple[int, int], params: int, gmacs: float):
    length, size = shape
    summary = summarize(build_without_weights(name), (3, length, size, size))
    assert summary.params == params
    assert summary.macs / 1e9 == pytest.approx(gmacs, abs=0.01)


@pytest.mark.parametrize("name", HUB)
def test_pytorchvideo_weights_give_the_same_logits(name: str, theirs, randomize):
    check_parity(name, theirs, randomize, width=64, size=64, window=2)


@pytest.mark.parametrize("name", HUB)
def test_window_of_the_head_slides_as_theirs_over_larger_maps(name: str, theirs, randomize):
    check_parity(name, theirs, randomize, width=8, size=256, window=7)


@pytest.mark.slow
@pytest.mark.parametrize("name", HUB)
def test_full_size_gives_the_same_logits(name: str, theirs, randomize):
    check_parity(name, theirs, randomize, width=64, size=256, window=7)


def check_parity(name: str, theirs: ModuleType, randomize: Any, width: int, size: int, window: int) -> None:
    torch.manual_seed(0)
    create = theirs.create_r2plus1d if name == "r2plus1d_r50" else theirs.create_resnet
    frames = {"slow_r50": 8}.get(name, 4)  # that come out of the last stage
    changes = {"stem_dim_out": width, "head_pool_kernel_size": (frames, window, window), "model_num_class": 7}
    reference = randomize(create(**{**HUB[name], **changes}))
    ours = build(name, num_classes=7, width=width).eval()
    renames = FROM_PYTORCHVIDEO_POOLED if name in ("c2d_r50", "i3d_r50") else FROM_PYTORCHVIDEO
    converted = convert(reference.state_dict(), renames)
    check_fit(converted, ours.state_dict(), name, "")
    ours.load_state_dict(converted)
    clip = torch.randn(1, 3, ours.spec.clip_len, size, size)
    with torch.no_grad():
        torch.testing.assert_close(ours(clip), reference(clip), rtol=1e-4, atol=1e-5)


def test_window_covers_a_smaller_map_whole():
    maps = torch.randn(2, 3, 4, 5, 6)
    torch.testing.assert_close(WindowedMean(7)(maps), maps.mean((2, 3, 4), keepdim=True))
    assert WindowedMean(4)(maps).shape == (2, 3, 1, 2, 3)


def test_c2d_keeps_frames_apart_until_the_first_pooling_and_slow_until_res4():
    def seen(name: str) -> list[int]:
        fields = {layer.name: layer.receptive_field[0] for layer in summarize(build_without_weights(name)).layers}
        return [fields[place] for place in ("blocks.0.2.norm_c", "blocks.1.3.norm_c", "blocks.2.0.conv_a")]

    assert seen("c2d_r50") == [1, 2, 2]
    assert seen("slow_r50") == [1, 1, 3]
    assert seen("i3d_r50") == [8, 8, 8]


def test_blocks_start_as_their_shortcuts():
    network = build("slow_r50", num_classes=2, width=8)
    block = network.blocks[0][1].eval()
    maps = torch.rand(1, 32, 2, 4, 4)
    assert torch.equal(block(maps), maps)
