"""X3D against PyTorchVideo's builder: counts, weights, logits, also where the head's window slides; and motion."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from kinema.inspection.summary import summarize
from kinema.models import build, build_without_weights
from kinema.models.state_dict import check_fit
from kinema.models.x3d import FROM_PYTORCHVIDEO, round_width
from kinema.weights.convert import convert

TRAINED_AT = {"x3d_xs": (4, 160), "x3d_s": (13, 160), "x3d_m": (16, 224), "x3d_l": (16, 312)}


@pytest.fixture(scope="module")
def create_x3d() -> Callable[..., Any]:
    pytest.importorskip("pytorchvideo")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pytorchvideo.models.x3d import create_x3d
    return create_x3d


@pytest.mark.parametrize(
    ("name", "params", "gmacs"),
    [("x3d_xs", 3_794_274, 0.60), ("x3d_s", 3_794_274, 1.96), ("x3d_m", 3_794_274, 4.73), ("x3d_l", 6_153_384, 18.37)],
)
def test_counts_at_the_size_of_training_are_those_of_the_paper(name: str, params: int, gmacs: float):
    length, size = TRAINED_AT[name]
    summary = summarize(build_without_weights(name), (3, length, size, size))
    assert summary.params == params
    assert summary.macs / 1e9 == pytest.approx(gmacs, rel=0.01)


@pytest.mark.parametrize(
    ("name", "gmacs"),
    [("x3d_xs", 0.91), ("x3d_s", 2.96), ("x3d_m", 6.72), pytest.param("x3d_l", 26.64, marks=pytest.mark.slow)],
)
def test_counts_of_the_model_zoo_hold_five_operations_for_each_number_that_is_normed(name: str, gmacs: float):
    network = build_without_weights(name)
    norms = [path for path, module in network.named_modules() if isinstance(module, nn.BatchNorm3d)]
    summary = summarize(network)
    outputs = {layer.name: torch.Size(layer.output).numel() for layer in summary.layers}
    assert summary.macs_with_norms == summary.macs + 5 * sum(outputs[path] for path in norms)
    assert summary.macs_with_norms / 1e9 == pytest.approx(gmacs, rel=0.01)


@pytest.mark.parametrize(
    ("name", "length", "size"),
    [("x3d_xs", 4, 160), ("x3d_xs", 4, 182), ("x3d_s", 13, 182), ("x3d_m", 2, 256), ("x3d_l", 2, 356)],
)
def test_pytorchvideo_weights_give_the_same_logits(name: str, length: int, size: int, create_x3d, randomize):
    torch.manual_seed(0)
    depth = {"depth_factor": 5.0} if name == "x3d_l" else {}
    crop = TRAINED_AT[name][1]
    reference = randomize(
        create_x3d(input_clip_length=length, input_crop_size=crop, head_activation=None, model_num_class=7, **depth)
    )
    ours = build(name, num_classes=7).eval()
    converted = convert(reference.state_dict(), FROM_PYTORCHVIDEO)
    check_fit(converted, ours.state_dict(), name, "")
    ours.load_state_dict(converted)
    clip = torch.randn(1, 3, length, size, size)
    with torch.no_grad():
        torch.testing.assert_close(ours(clip), reference(clip), rtol=1e-4, atol=1e-5)


def test_widths_are_multiples_of_eight_not_far_below_what_was_asked():
    assert [round_width(width) for width in (1.0, 12.0, 13.5, 24.0, 27.0, 108.0)] == [8, 16, 16, 24, 32, 112]


def test_every_other_block_weighs_its_channels():
    network = build_without_weights("x3d_m")
    assert [len(stage) for stage in network.blocks] == [3, 5, 11, 7]
    assert [hasattr(block.squeeze, "expand") for block in network.blocks[1]] == [True, False, True, False, True]


def test_time_stays_whole_until_the_last_average():
    outputs = {layer.name: layer.output for layer in summarize(build_without_weights("x3d_s")).layers}
    assert outputs["blocks.3.6.norm_c"] == (192, 13, 6, 6)
    assert outputs["pool"] == (432, 1, 2, 2)


def test_a_narrow_one_tells_directions_of_motion(learn_motion):
    torch.manual_seed(0)
    spec = {"clip_len": 8, "frame_stride": 1, "size": (32, 32)}
    network = build("x3d_xs", num_classes=2, width=1.0, depth=0.5, head_dim=128, dropout=0.0, spec=spec)
    ordered, shuffled = learn_motion(network, steps=50, rate=5e-3)
    assert ordered >= 0.9
    assert shuffled <= 0.7
