"""I3D against its published counts, receptive fields, names of weights; TensorFlow's padding; and motion."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from kinema.inspection.summary import summarize
from kinema.models import build, build_without_weights
from kinema.models.i3d import FROM_HASSONY, FROM_PIERGIAJ, SameConv3d, SameMaxPool3d, SlidingAverage, same_padding
from kinema.models.state_dict import check_fit
from kinema.types import FLOW_ZERO
from kinema.weights.convert import convert

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize(
    ("name", "clip_len", "params", "gmacs"),
    [
        ("i3d_rgb", 16, 12_697_264, 27.79),
        ("i3d_rgb", 64, 12_697_264, 111.15),
        ("i3d_flow", 64, 12_675_312, 102.34),
    ],
)
def test_counts_are_the_published_ones(name: str, clip_len: int, params: int, gmacs: float):
    network = build_without_weights(name, spec={"clip_len": clip_len})
    summary = summarize(network)
    assert summary.input == (3 if name == "i3d_rgb" else 2, clip_len, 224, 224)
    assert summary.params == params
    assert summary.macs / 1e9 == pytest.approx(gmacs, abs=0.006)


def test_receptive_fields_grow_by_hand_worked_steps():
    """A window of k over elements j apart adds (k - 1) * j; padding that is lopsided changes nothing."""
    summary = summarize(build_without_weights("i3d_rgb"), (3, 128, 640, 640))
    fields = {layer.name: layer.receptive_field for layer in summary.layers}
    assert [fields[name] for name in ("pool_2a", "pool_3a", "pool_4a", "pool_5a")] == [
        (7, 11, 11),
        (11, 27, 27),
        (23, 75, 75),
        (23 + 5 * 2 * 4 + 4, 75 + 5 * 2 * 16 + 16, 75 + 5 * 2 * 16 + 16),
    ]
    assert fields["mixed_5c.branch1.1.conv"] == (67 + 2 * 2 * 8, 251 + 2 * 2 * 32, 251 + 2 * 2 * 32)


def published(name: str, channels: int) -> dict[str, Tensor]:
    """Random tensors under the names and in the shapes of a published file."""
    torch.manual_seed(0)
    tensors = {}
    for line in (GOLDEN / f"{name}.txt").read_text().splitlines():
        key, shape = line.split()
        sizes = [] if shape == "scalar" else [int(size) for size in shape.split("x")]
        if "1a_7x7.conv3d" in key:
            sizes[1] = channels
        tensors[key] = torch.rand(sizes) + 0.5 if sizes else torch.tensor(1)
    return tensors


@pytest.mark.parametrize(("name", "renames"), [("i3d_piergiaj", FROM_PIERGIAJ), ("i3d_hassony", FROM_HASSONY)])
@pytest.mark.parametrize(("variant", "channels"), [("i3d_rgb", 3), ("i3d_flow", 2)])
def test_published_files_fit(name: str, renames: tuple[tuple[str, str], ...], variant: str, channels: int):
    tensors = published(name, channels)
    converted = convert(tensors, renames)
    check_fit(converted, build_without_weights(variant).state_dict(), name, "")
    assert len(converted) == len(tensors) == 344


def test_both_sources_put_the_same_layer_in_the_same_place():
    """Both files list the layers of TensorFlow's graph in one order, but for the classifier."""
    first, second = (
        [key for key in convert(published(name, 3), renames) if not key.startswith("classifier")]
        for name, renames in (("i3d_piergiaj", FROM_PIERGIAJ), ("i3d_hassony", FROM_HASSONY))
    )
    assert first == second


def test_layers_of_one_file_come_in_the_order_of_the_network():
    ours = [key for key in build_without_weights("i3d_rgb").state_dict() if not key.startswith("classifier")]
    converted = [key for key in convert(published("i3d_hassony", 3), FROM_HASSONY) if not key.startswith("classifier")]
    assert converted == ours


@pytest.mark.parametrize("size", [1, 2, 7, 8, 13, 224])
@pytest.mark.parametrize(("kernel", "stride"), [(7, 2), (3, 1), (3, 2), (2, 2), (1, 2)])
def test_same_padding_makes_size_over_stride_outputs(size: int, kernel: int, stride: int):
    (both,), (end,) = same_padding((size,), (kernel,), (stride,))
    outputs = math.ceil(size / stride)
    assert end in (0, 1)
    assert 2 * both + end == max((outputs - 1) * stride + kernel - size, 0)
    conv = SameConv3d(1, 1, (1, 1, kernel), (1, 1, stride))
    pool = SameMaxPool3d((1, 1, kernel), (1, 1, stride))
    x = torch.randn(1, 1, 1, 1, size)
    assert conv(x).shape[-1] == pool(x).shape[-1] == outputs


def test_odd_padding_goes_to_the_end():
    conv = SameConv3d(1, 1, (1, 1, 3), (1, 1, 2), bias=False)
    torch.nn.init.ones_(conv.weight)
    assert conv(torch.tensor([1.0, 2.0, 4.0, 8.0]).reshape(1, 1, 1, 1, 4)).flatten().tolist() == [7.0, 12.0]
    pool = SameMaxPool3d((1, 1, 3), (1, 1, 2))
    assert pool(-torch.tensor([1.0, 2.0, 4.0, 8.0]).reshape(1, 1, 1, 1, 4)).flatten().tolist() == [-1.0, -4.0]


def test_average_slides_by_one_and_is_cut_to_the_input():
    x = torch.arange(4.0).reshape(1, 1, 4, 1, 1) ** 2
    windows = [(0 + 1) / 2, (1 + 4) / 2, (4 + 9) / 2]
    assert float(SlidingAverage((2, 7, 7))(x)) == pytest.approx(sum(windows) / 3)
    assert float(SlidingAverage((2, 7, 7))(x[:, :, 2:3])) == 4.0


def test_averaging_features_is_averaging_logits():
    network = build("i3d_rgb", num_classes=3, width=1 / 16, spec={"clip_len": 40, "size": (64, 64)}).eval()
    features = torch.randn(2, network.feature_dim, 5, 2, 2)
    logits = torch.stack([network.classifier(features[:, :, i : i + 2].mean((2, 3, 4))) for i in range(4)])
    with torch.no_grad():
        ours = network.classifier(network.average(features))
    torch.testing.assert_close(ours, logits.mean(0), rtol=1e-5, atol=1e-6)


def test_flow_goes_in_from_minus_one_to_one():
    spec = build_without_weights("i3d_flow").spec
    assert (spec.modality, spec.num_channels) == ("flow", 2)
    levels = [(level / 255 - spec.mean[0]) / spec.std[0] for level in (1, FLOW_ZERO, 255)]
    assert levels == pytest.approx([-1, 0, 1])


def test_narrow_network_tells_directions_of_motion(learn_motion):
    torch.manual_seed(0)
    spec = {"clip_len": 16, "size": (32, 32)}
    ordered, shuffled = learn_motion(build("i3d_rgb", num_classes=2, spec=spec, width=1 / 8))
    assert ordered >= 0.9
    assert shuffled <= 0.7
