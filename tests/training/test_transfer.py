"""Which parts of a network learn."""

from __future__ import annotations

import pytest
import torch

from kinema import models
from kinema.errors import ConfigError
from kinema.training.optim import build_optimizer
from kinema.training.options import FitOptions
from kinema.training.transfer import freeze, set_training


def tiny() -> models.Network:
    return models.build("slow_fusion_tiny", num_classes=3, spec={"size": (32, 32), "clip_len": 8})


def test_head_only_leaves_everything_else_and_its_batch_norms_unchanged():
    network = tiny()
    frozen = freeze(network, FitOptions(transfer="head"))
    set_training(network, frozen)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = build_optimizer(network, FitOptions(lr=0.1))
    clip = torch.randn(4, *network.spec.shape)
    features = network.features(clip)
    assert not features.requires_grad, "frozen stages must not be back-propagated through"
    network(clip).sum().backward()
    optimizer.step()
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


def test_last_stage_opens_exactly_one_stage():
    network = tiny()
    frozen = freeze(network, FitOptions(transfer="last:1"))
    stages = network.stages()
    assert len(frozen) == len(stages) - 1
    assert all(p.requires_grad for p in stages[-1][1].parameters())
    assert not any(p.requires_grad for _, stage in stages[:-1] for p in stage.parameters())


def test_more_stages_than_there_are_is_an_error_that_names_them():
    network = tiny()
    with pytest.raises(ConfigError, match=network.stages()[0][0]):
        freeze(network, FitOptions(transfer="last:99"))


def test_the_layer_that_joins_frames_learns_with_the_head():
    spec = {"clip_len": 2, "size": (32, 32), "sampling": "spread"}
    network = models.build("late_fusion", num_classes=3, backbone="test_resnet.r160_in1k", spec=spec)
    freeze(network, FitOptions(transfer="head"))
    assert all(p.requires_grad for p in network.joining.parameters())
    assert not any(p.requires_grad for p in network.backbone.parameters())
