"""Backbones: weights from a file, other picture sizes, several frames as channels, parts in order."""

from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from kinema.errors import ConfigError, UnknownName
from kinema.models import build
from kinema.models.backbone import BackboneSource
from kinema.models.network import Network


def on_file(name: str, path: str, **arguments) -> Network:
    return build(name, backbone="test_resnet", backbone_weights=path, **arguments).eval()


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
