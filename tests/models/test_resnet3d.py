"""R3D, MC3, R(2+1)D against torchvision: counts, weights, logits; and motion."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from kinema.errors import ConfigError
from kinema.inspection.summary import summarize
from kinema.models import build, build_without_weights
from kinema.models.resnet3d import FROM_TORCHVISION, ResNet3d
from kinema.models.state_dict import check_fit
from kinema.weights.convert import convert


@pytest.mark.parametrize(
    ("name", "params", "gmacs"),
    [("r3d_18", 33_371_472, 40.697), ("mc3_18", 11_695_440, 43.343), ("r2plus1d_18", 31_505_325, 40.519)],
)
def test_counts_are_the_published_ones(name: str, params: int, gmacs: float):
    summary = summarize(build_without_weights(name))
    assert summary.input == (3, 16, 112, 112)
    assert summary.params == params
    assert summary.macs / 1e9 == pytest.approx(gmacs, abs=0.001)


@pytest.mark.parametrize("name", ["r3d_18", "mc3_18", "r2plus1d_18"])
def test_torchvision_weights_give_the_same_logits(name: str, randomize, check_same_logits):
    torch.manual_seed(0)
    theirs = randomize(torchvision.models.get_model(name, num_classes=11))
    ours = build(name, num_classes=11).eval()
    converted = convert(theirs.state_dict(), FROM_TORCHVISION)
    check_fit(converted, ours.state_dict(), name, "")
    ours.load_state_dict(converted)
    check_same_logits(ours, theirs, (3, 7, 45, 56))


def test_input_is_the_one_the_weights_were_measured_with():
    spec = build_without_weights("r3d_18").spec
    published = torchvision.models.video.R3D_18_Weights.DEFAULT.transforms()
    assert (list(spec.size), list(spec.mean), list(spec.std)) == (published.crop_size, published.mean, published.std)
    assert spec.squeezed == tuple(published.resize_size)
    assert (spec.clip_len, spec.frame_stride, spec.fps) == (16, 1, 15.0)


def test_factored_filters_have_as_many_weights_as_whole_ones():
    def weights(kind: str, stage: str) -> int:
        network = build_without_weights("r3d_18", convs=(kind,) * 4)
        convs = [layer for layer in dict(network.stages())[stage].modules() if isinstance(layer, nn.Conv3d)]
        return sum(conv.weight.numel() for conv in convs)

    assert weights("2+1d", "stage1") == weights("3d", "stage1")
    for stage in ("stage2", "stage3", "stage4"):  # rounded down, and by the narrower input of the first block
        assert 0.9 * weights("3d", stage) < weights("2+1d", stage) < weights("3d", stage)


def test_stages_without_filters_over_time_keep_it():
    outputs = {layer.name: layer.output for layer in summarize(build_without_weights("mc3_18")).layers}
    assert outputs["stage4.1.conv2.1"] == (512, 16, 7, 7)
    outputs = {layer.name: layer.output for layer in summarize(build_without_weights("r3d_18")).layers}
    assert outputs["stage4.1.conv2.1"] == (512, 2, 7, 7)


@pytest.mark.parametrize("name", ["r3d_small", "r2plus1d_small"])
def test_small_networks_tell_directions_of_motion(name: str, learn_motion):
    torch.manual_seed(0)
    network = build(name, num_classes=2, spec={"size": (32, 32)}, width=0.25)
    ordered, shuffled = learn_motion(network)
    assert ordered >= 0.9
    assert shuffled <= 0.7


@pytest.mark.parametrize("name", ["r3d_small", "r2plus1d_small"])
def test_small_networks_are_cheap_and_see_the_whole_clip(name: str):
    summary = summarize(build_without_weights(name))
    assert summary.params < 1e6
    assert summary.macs < 0.3e9
    last = next(layer for layer in summary.layers if layer.name == "stage3.0.conv2.1")
    assert last.receptive_field[0] == 16


def test_unknown_filters_are_refused():
    with pytest.raises(ConfigError, match="'4d'"):
        build("r3d_18", convs=("3d", "4d", "3d", "3d"))
    with pytest.raises(ConfigError, match="cannot be built"):
        build("r3d_18", convs=("3d",))


def test_stages_are_the_stem_and_the_residual_stages():
    network = build_without_weights("r2plus1d_18")
    assert isinstance(network, ResNet3d)
    assert [name for name, _ in network.stages()] == ["stem", "stage1", "stage2", "stage3", "stage4"]
