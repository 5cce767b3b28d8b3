"""MViT against torchvision: the plan of its blocks, counts, logits; and motion."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torchvision.models.video import mvit

from kinema.errors import CheckpointError, ConfigError
from kinema.inspection.summary import summarize
from kinema.models import build, build_without_weights
from kinema.models.mvit import FROM_TORCHVISION
from kinema.models.state_dict import check_fit
from kinema.weights.convert import convert


@pytest.mark.parametrize(
    ("name", "params", "gmacs"), [("mvit_v1_b", 36_610_672, 70.599), ("mvit_v2_s", 34_537_744, 64.224)]
)
def test_counts_are_the_published_ones(name: str, params: int, gmacs: float):
    summary = summarize(build_without_weights(name))
    assert summary.input == (3, 16, 224, 224)
    assert summary.params == params
    assert summary.macs / 1e9 == pytest.approx(gmacs, abs=0.001)


@pytest.mark.parametrize("name", ["mvit_v1_b", "mvit_v2_s"])
def test_torchvision_weights_fit_the_published_size(name: str):
    with torch.device("meta"):
        theirs = torchvision.models.get_model(name)
    check_fit(convert(theirs.state_dict(), FROM_TORCHVISION), build_without_weights(name).state_dict(), name, "")


@pytest.mark.parametrize("name", ["mvit_v1_b", "mvit_v2_s"])
@pytest.mark.parametrize(
    ("clip_len", "size"), [(4, (64, 96)), pytest.param(16, (224, 224), marks=pytest.mark.slow)], ids=["little", "full"]
)
def test_torchvision_weights_give_the_same_logits(
    name: str, clip_len: int, size: tuple[int, int], monkeypatch, check_same_logits
):
    """Its functions fix the size; the layers of all blocks are those of the published network."""
    torch.manual_seed(0)
    make = mvit._mvit
    sized = {"temporal_size": clip_len, "spatial_size": size}
    monkeypatch.setattr(mvit, "_mvit", lambda **arguments: make(**{**arguments, **sized}))
    theirs = getattr(mvit, name)(num_classes=7).eval()
    ours = build(name, num_classes=7, spec={"clip_len": clip_len, "size": size}).eval()
    for weight in theirs.parameters():
        weight.data.mul_(1.5)  # as it begins, its logits hardly depend on the clip
    converted = convert(theirs.state_dict(), FROM_TORCHVISION)
    check_fit(converted, ours.state_dict(), name, "")
    ours.load_state_dict(converted)
    check_same_logits(ours, theirs, (3, clip_len, *size))


def test_weights_of_another_size_are_refused():
    theirs = build_without_weights("mvit_v2_s").state_dict()
    ours = build_without_weights("mvit_v2_s", spec={"size": (160, 160)}).state_dict()
    with pytest.raises(CheckpointError, match="rel_pos"):
        check_fit(theirs, ours, "mvit_v2_s", "")


def test_input_is_the_one_the_weights_were_measured_with():
    spec = build_without_weights("mvit_v2_s").spec
    weights = torchvision.models.video.MViT_V2_S_Weights.DEFAULT
    published = weights.transforms()
    assert (list(spec.size), list(spec.mean), list(spec.std)) == (published.crop_size, published.mean, published.std)
    assert (spec.short_side, spec.clip_len) == (published.resize_size[0], weights.meta["min_temporal_size"])
    assert (spec.frame_stride, spec.fps) == (1, 7.5)


@pytest.mark.parametrize("name", ["mvit_v1_b", "mvit_v2_s"])
@pytest.mark.parametrize("spec", [{"clip_len": 8, "size": (96, 128)}, {"clip_len": 3, "size": (102, 61)}])
def test_other_lengths_and_sizes_go_through(name: str, spec: dict[str, object]):
    network = build(name, num_classes=3, spec=spec, width=1 / 12).eval()
    with torch.no_grad():
        assert network(torch.randn(2, *network.spec.shape)).shape == (2, 3)


def test_flow_goes_in_with_two_channels():
    spec = {"modality": "flow", "mean": (0.5, 0.5), "std": (0.5, 0.5)}
    network = build("mvit_small", num_classes=3, spec=spec).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 2, 16, 96, 96)).shape == (1, 3)


@pytest.mark.parametrize("wrong", [{"version": 3}, {"depths": (1,)}, {"patch": (2, 4)}])
def test_what_cannot_be_built_is_refused(wrong: dict[str, object]):
    with pytest.raises(ConfigError, match="cannot be built"):
        build("mvit_v2_s", **wrong)


def test_stages_are_the_patches_and_the_four_scales():
    network = build_without_weights("mvit_v2_s")
    assert [name for name, _ in network.stages()] == ["stem", "stage1", "stage2", "stage3", "stage4"]
    sizes = [sum(p.numel() for p in stage.parameters()) for _, stage in network.stages()]
    assert sum(sizes) == 34_537_744 - 400 * 769


def test_small_network_tells_directions_of_motion(learn_motion):
    torch.manual_seed(0)
    network = build("mvit_small", num_classes=2, spec={"size": (32, 32)}, width=1 / 4, dropout=0.0)
    ordered, shuffled = learn_motion(network, steps=30)
    assert ordered >= 0.9
    assert shuffled <= 0.7


def test_small_network_is_cheap():
    summary = summarize(build_without_weights("mvit_small"))
    assert summary.params < 1e6
    assert summary.macs < 0.3e9
