"""Backbones: weights from a file, other picture sizes, several frames as channels, parts in order."""

from __future__ import annotations

import pickle

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from kinema.errors import CheckpointError, ConfigError, UnknownName
from kinema.models import build
from kinema.models.backbone import BackboneSource
from kinema.models.network import Network


@pytest.fixture
def published():
    """A network as its publisher would give it: with its own classes, and batch norms that have seen something."""
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=6)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return model.eval()


@pytest.fixture
def weights_file(published, tmp_path):
    path = tmp_path / "published.safetensors"
    save_file(
        {name: value.half() if value.is_floating_point() else value for name, value in published.state_dict().items()},
        path,
    )
    return str(path)


def on_file(name: str, path: str, **arguments) -> Network:
    return build(name, backbone="test_resnet", backbone_weights=path, **arguments).eval()


def test_classifier_is_kept_where_no_classes_are_asked_for(published, weights_file):
    network = on_file("single_frame", weights_file, backbone_args={"num_classes": 6})
    clip = torch.randn(2, 3, 1, 160, 160)
    with torch.no_grad():
        torch.testing.assert_close(network(clip), published(clip[:, :, 0]), rtol=1e-2, atol=1e-2)
    assert next(network.parameters()).dtype == torch.float32


def test_classifier_of_another_class_count_is_left_out(published, weights_file):
    network = on_file("single_frame", weights_file, num_classes=4)
    clip = torch.randn(1, 3, 1, 160, 160)
    with torch.no_grad():
        expected = published.forward_head(published.forward_features(clip[:, :, 0]), pre_logits=True)
        torch.testing.assert_close(network.features(clip), expected, rtol=1e-2, atol=1e-2)
    assert network(clip).shape == (1, 4)


def test_early_fusion_of_a_clip_that_stands_still_is_the_single_frame(weights_file):
    frame = torch.randn(1, 3, 1, 96, 96)
    with torch.no_grad():
        single = on_file("single_frame", weights_file, num_classes=4).features(frame)
        early = on_file("early_fusion", weights_file, num_classes=4, spec={"clip_len": 5}).features(
            frame.expand(-1, -1, 5, -1, -1)
        )
    torch.testing.assert_close(early, single, rtol=1e-4, atol=1e-4)


def test_late_fusion_by_mean_is_the_mean_of_single_frames(weights_file):
    clip = torch.randn(1, 3, 3, 64, 64)
    single = on_file("single_frame", weights_file, backbone_args={"num_classes": 6})
    late = on_file("late_fusion", weights_file, backbone_args={"num_classes": 6}, head="mean", spec={"clip_len": 3})
    with torch.no_grad():
        expected = torch.stack([single(clip[:, :, t : t + 1]) for t in range(3)]).mean(0)
        torch.testing.assert_close(late(clip), expected, rtol=1e-4, atol=1e-4)


def test_input_is_what_the_publisher_used():
    source = BackboneSource("test_resnet")
    card = timm.get_pretrained_cfg("test_resnet")
    spec = build("late_fusion", backbone="test_resnet", num_classes=2).spec
    assert (spec.size, spec.mean, spec.std) == (tuple(card.input_size[1:]), tuple(card.mean), tuple(card.std))
    assert spec.clip_len == 2
    assert source.card["first_conv"]


def test_transformers_take_other_sizes():
    network = build("single_frame", backbone="test_vit", num_classes=2, spec={"size": (96, 128)}).eval()
    assert network(torch.zeros(1, 3, 1, 96, 128)).shape == (1, 2)


def test_folded_batch_norms_stay_fixed_while_training(published, tmp_path):
    for module in published.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    save_file(published.state_dict(), tmp_path / "folded.safetensors")
    network = on_file("single_frame", str(tmp_path / "folded.safetensors"), num_classes=2).train()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)
    assert network.arguments["fixed_norms"]
    clip = torch.randn(2, 3, 1, 64, 64)
    before = norms[0].running_mean.clone()
    network(clip)
    assert torch.equal(norms[0].running_mean, before)


def test_ordinary_batch_norms_learn(weights_file):
    network = on_file("single_frame", weights_file, num_classes=2).train()
    assert all(module.training for module in network.modules() if isinstance(module, nn.BatchNorm2d))


def test_weights_that_do_not_fit_are_refused(weights_file, tmp_path):
    with pytest.raises(CheckpointError, match="do not fit"):
        build("single_frame", backbone="resnet10t", backbone_weights=weights_file)
    with pytest.raises(CheckpointError, match="no such weights file"):
        build("single_frame", backbone="test_resnet", backbone_weights=str(tmp_path / "none.safetensors"))
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(CheckpointError, match="cannot read weights"):
        build("single_frame", backbone="test_resnet", backbone_weights=str(tmp_path / "text.safetensors"))


def test_pickles_that_run_code_are_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (exec, ("raise SystemExit('ran')",))

    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CheckpointError, match="cannot read weights"):
        build("single_frame", backbone="test_resnet", backbone_weights=str(path))


def test_torch_files_with_wrappers_are_read(published, tmp_path):
    path = tmp_path / "published.pth"
    torch.save(
        {"epoch": 3, "state_dict": {f"module.{name}": value for name, value in published.state_dict().items()}}, path
    )
    network = on_file("single_frame", str(path), num_classes=2)
    assert torch.equal(network.backbone.model.conv1[0].weight, published.conv1[0].weight)


def test_bad_arguments_of_timm_are_said():
    with pytest.raises(ConfigError, match="timm cannot build test_resnet"):
        build("single_frame", backbone="test_resnet", backbone_args={"nonsense": 1})
    with pytest.raises(UnknownName, match="no backbone called"):
        build("single_frame", backbone="resnet9999")


@pytest.mark.parametrize(
    ("backbone", "first", "last"),
    [
        ("resnet18", "stem", "layer4"),
        ("mobilenetv2_100", "stem", "blocks.6"),
        ("vgg11", "stem", "pre_logits"),
        ("convnext_atto", "stem", "head"),
        ("vit_tiny_patch16_224", "stem", "blocks.11"),
        ("alexnet", "stem", "classifier.4"),
        ("densenet121", "stem", "features.norm5"),
    ],
)
def test_stages_run_from_input_to_output(backbone: str, first: str, last: str):
    with torch.device("meta"):
        stages = build("single_frame", backbone=backbone, num_classes=2).stages()
    assert (stages[0][0], stages[-1][0]) == (first, last)
    assert len({name for name, _ in stages}) == len(stages) >= 5
