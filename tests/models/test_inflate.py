"""Inflation: what a picture gave, a clip of it gives; the filters over time learn motion."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from kinema.errors import ConfigError, UnknownName
from kinema.inspection.summary import summarize
from kinema.models import build, build_without_weights
from kinema.models.inflate import Inflation, inflate
from kinema.models.layers.fold import Fold
from kinema.models.layers.time_conv import InflatedConv, TimeConv, TimePool

BACKBONES = {
    "resnet18": {},
    "resnet26": {},  # bottlenecks
    "vgg11_bn": {"mlp_ratio": 1 / 64},
    "mobilenetv2_035": {},
    "mobilenetv2_050": {"pad_type": "same"},
    "mobilenetv3_small_050": {},
    "test_efficientnet": {},
    "convnext_atto": {},
    "inception_v3": {},
    "regnetx_002": {},
    "densenet121": {},
}


def frame_network(name: str) -> nn.Module:
    """A network of timm as if it had learned: norms that have seen something, every branch awake."""
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=0, **BACKBONES.get(name, {}))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1)
    return network.eval()


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize(
    "how",
    [Inflation("3d", "spatial", init="mean", padding="replicate"), Inflation(padding="replicate")],
    ids=["published", "default"],
)
@torch.no_grad()
def test_clip_that_stands_still_gives_what_the_picture_gave(name: str, how: Inflation):
    network = frame_network(name)
    size = 80 if name == "inception_v3" else 64
    picture = torch.randn(2, 3, size, size)
    expected = network(picture)
    fold = inflate(network, how)
    clip = picture[:, :, None].expand(-1, -1, 3, -1, -1)
    frames = network(fold.frames(clip)).unflatten(0, (2, 3))
    for t in range(3):
        torch.testing.assert_close(frames[:, t], expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


@torch.no_grad()
def test_with_zeros_only_the_ends_of_a_still_clip_differ():
    network = frame_network("resnet18")
    picture = torch.randn(1, 3, 64, 64)
    expected = network(picture)[0]
    fold = inflate(network, Inflation("3d", where="layer1.*conv1", init="mean"))  # two: one reaches each way per layer
    frames = network(fold.frames(picture[:, :, None].expand(-1, -1, 7, -1, -1)))
    torch.testing.assert_close(frames[2:5], expected.expand(3, -1), rtol=1e-4, atol=1e-5)
    assert (frames[[0, 1, 5, 6]] - expected).abs().amax(1).min() > 1e-3


@pytest.mark.parametrize("kind", ["3d", "2+1d", "depthwise"])
@pytest.mark.parametrize("where", ["spatial", "blocks"])
@torch.no_grad()
def test_weights_in_the_centre_see_a_video_frame_by_frame(kind: str, where: str):
    for name in ("mobilenetv2_035", "resnet26"):
        network = frame_network(name)
        clip = torch.randn(2, 3, 4, 64, 64)
        fold = Fold()
        expected = network(fold.frames(clip))
        inflate(network, Inflation(kind, where, init="centre"), fold)
        torch.testing.assert_close(network(fold.frames(clip)), expected, rtol=1e-4, atol=1e-4)


def test_which_convolutions_are_inflated():
    def chosen(name: str, **how) -> list[str]:
        with torch.device("meta"):
            network = timm.create_model(name, num_classes=0)
            inflate(network, Inflation("3d", **how))
        return [
            path.removesuffix(".layer") for path, layer in network.named_modules() if isinstance(layer, InflatedConv)
        ]

    assert len(chosen("resnet18", where="spatial")) == 17  # the stem and two a block; 1x1 shortcuts stay
    assert chosen("resnet18", where="spatial", every=8) == ["conv1", "layer2.1.conv2", "layer4.1.conv2"]
    assert chosen("resnet26", where="blocks", every=2) == [f"layer{n}.0.conv1" for n in (1, 2, 3, 4)]
    assert chosen("resnet18", where=r"layer[34]\.0\.conv2") == ["layer3.0.conv2", "layer4.0.conv2"]
    assert len(chosen("resnet18")) == 8
    assert len(chosen("vgg11_bn")) == 8  # no blocks: all, but what stands behind the last pooling
    with pytest.raises(ValueError, match="no convolution of VGG fits where='blocks'"):
        chosen("vgg11_bn", where="blocks")


def test_filters_over_time_stand_where_channels_are_fewer():
    with torch.device("meta"):
        network = timm.create_model("mobilenetv2_100", num_classes=0)
        inflate(network, Inflation(where="blocks"))
        bottleneck = timm.create_model("resnet26", num_classes=0)
        inflate(bottleneck, Inflation(where="blocks"))
    assert [name for name, _ in network.blocks[1][1].conv_pw.named_children()] == ["time", "space"]
    assert [name for name, _ in bottleneck.layer1[1].conv1.named_children()] == ["space", "time"]


@torch.no_grad()
def test_time_strides_leave_fewer_steps():
    network = frame_network("resnet18")
    fold = inflate(network, Inflation(padding="replicate", time_strides={"layer2": 2, "layer4": 2}))
    clip = torch.randn(2, 3, 7, 64, 64)
    assert network(fold.frames(clip)).shape == (2 * 2, 512)  # 7 -> 4 -> 2
    assert TimePool(2)(torch.arange(5.0).view(1, 1, 5, 1, 1)).flatten().tolist() == [1, 3, 4]


def test_network_of_any_length_with_time_strides_averages_what_is_left():
    spec = {"size": (64, 64), "clip_len": 6}
    network = build("inflated", backbone="test_resnet", num_classes=3, spec=spec, time_strides={"layer2": 2}).eval()
    for length in (1, 5, 6):
        assert network.features(torch.randn(2, 3, length, 64, 64)).shape == (2, network.feature_dim)
    assert [name for name, _ in network.stages()] == ["stem", "layer1", "layer2", "layer3", "layer4"]


def test_weights_from_a_file_are_inflated(tmp_path):
    published = frame_network("test_resnet")
    save_file({**published.state_dict(), **_head(6, published.num_features)}, tmp_path / "published.safetensors")
    arguments = {"backbone": "test_resnet", "backbone_weights": str(tmp_path / "published.safetensors")}
    network = build("inflated", **arguments, backbone_args={"num_classes": 6}, kind="3d", padding="replicate").eval()
    picture = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        features = network.features(picture[:, :, None].expand(-1, -1, 4, -1, -1))
        torch.testing.assert_close(features, published(picture), rtol=1e-4, atol=1e-4)
    assert network.num_classes == 6
    assert torch.equal(network.classifier.bias, torch.arange(6.0))


def _head(classes: int, features: int) -> dict[str, torch.Tensor]:
    return {"fc.weight": torch.zeros(classes, features), "fc.bias": torch.arange(float(classes))}


def test_folded_norms_stay_fixed_while_training():
    network = build("inflated", backbone="test_resnet", num_classes=2, fixed_norms=True).train()
    assert not any(module.training for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    assert network.arguments["fixed_norms"]


@pytest.mark.parametrize("kind", ["3d", "depthwise"])
def test_export_takes_any_number_of_clips(kind: str):
    spec = {"size": (32, 32), "clip_len": 4}
    arguments = {"kind": kind, "padding": "replicate", "time_strides": {"layer3": 2}}
    network = build("inflated", backbone="test_resnet", num_classes=2, spec=spec, **arguments).eval()
    batch = {0: torch.export.Dim("batch", min=1, max=8)}
    program = torch.export.export(network, (torch.randn(2, 3, 4, 32, 32),), dynamic_shapes=(batch,))
    clips = torch.randn(3, 3, 4, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(clips), network(clips), rtol=1e-4, atol=1e-5)
    assert copy.deepcopy(network)(clips).shape == (3, 2)


def test_network_runs_in_half_precision():
    network = build("inflated", backbone="test_resnet", num_classes=2, spec={"size": (32, 32)}, padding="replicate")
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(torch.randn(2, 3, 4, 32, 32))
    logits.float().sum().backward()
    assert logits.isfinite().all()


def test_requests_that_make_no_sense_are_refused():
    spec = {"size": (32, 32)}
    for wrong, said in (
        ({"kind": "4d"}, "'4d'"),
        ({"length": 4}, "odd length"),
        ({"every": 0}, "counts begin at 1"),
        ({"where": "nowhere"}, "no convolution of ResNet"),
    ):
        with pytest.raises(ConfigError, match=said):
            build("inflated", backbone="test_resnet", num_classes=2, spec=spec, **wrong)
    with pytest.raises(UnknownName, match="Did you mean layer2"):
        build("inflated", backbone="test_resnet", num_classes=2, spec=spec, time_strides={"layre2": 2})
    with pytest.raises(ConfigError, match="kind='depthwise' leaves it as it is"):
        build("inflated", backbone="nf_resnet26", num_classes=2, spec=spec, kind="3d")


def test_counts_and_receptive_fields():
    counts = {  # parameters with 400 classes, GMACs
        "inflated": (2_739_920, 2.419),
        "inflated_resnet50": (28_300_752, 45.97),
        "inflated_small": (363_472, 0.2396),
    }
    for name, (params, gmacs) in counts.items():
        summary = summarize(build_without_weights(name, num_classes=400))
        assert summary.params == params
        assert summary.macs / 1e9 == pytest.approx(gmacs, rel=1e-3)
    fields = {layer.name: layer.receptive_field[0] for layer in summary.layers}
    assert [fields[f"blocks.{stage}.0.conv_time"] for stage in range(3)] == [3, 5, 7]


def test_symmetric_weights_cannot_tell_a_clip_from_its_reverse():
    torch.manual_seed(0)
    spec, clip = {"size": (48, 48)}, torch.randn(2, 3, 5, 48, 48)
    awake = {"backbone": "test_resnet", "backbone_args": {"zero_init_last": False}}
    inflated = build("inflated", **awake, num_classes=3, spec=spec, init="centre").eval()
    with torch.no_grad():
        before = inflated.features(clip)
        torch.testing.assert_close(inflated.features(clip.flip(2)), before, rtol=1e-4, atol=1e-5)
        for layer in inflated.modules():
            if isinstance(layer, TimeConv):
                layer.weight[:, :, 0] += 0.5
        assert (inflated.features(clip.flip(2)) - inflated.features(clip)).abs().max() > 1e-3
