"""The loss of a batch of clips."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from kinema import models
from kinema.clips.transforms import normalize
from kinema.datasets.clips import Batch
from kinema.training.losses import ClipLoss
from kinema.training.objective import ClipObjective
from kinema.training.options import FitOptions


@pytest.fixture
def network() -> models.Network:
    torch.manual_seed(0)
    return models.build("slow_fusion_tiny", num_classes=3, dropout=0.0, spec={"size": (24, 24), "clip_len": 8}).eval()


def batch_for(network: models.Network) -> Batch:
    clips = torch.randint(0, 256, (4, *network.spec.shape), dtype=torch.uint8)
    return Batch(clips, torch.tensor([0, 1, 2, 0]), torch.arange(4))


def test_the_loss_is_that_of_the_normalised_clips_and_hits_are_counted(network):
    options, batch = FitOptions(label_smoothing=0.0), batch_for(network)
    objective = ClipObjective(network, options, ClipLoss(3))
    lesson = objective.learn(objective.module(network), batch, np.random.default_rng(0))
    logits = network(normalize(batch.clips, network.spec))
    torch.testing.assert_close(lesson.loss, cross_entropy(logits, batch.targets))
    assert lesson.hits == int((logits.argmax(1) == batch.targets).sum())
    assert objective.num_counted(batch) == 4


def test_mixing_depends_on_the_generator_alone(network):
    objective = ClipObjective(network, FitOptions(mixup=1.0), ClipLoss(3))
    batch = batch_for(network)
    losses = [objective.learn(network, batch, np.random.default_rng(seed)).loss.item() for seed in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]


def test_an_empty_batch_gives_a_gradient_of_zero_to_every_parameter(network):
    objective = ClipObjective(network, FitOptions(), ClipLoss(3))
    objective.nothing(network).backward()
    assert all(p.grad is not None and not p.grad.any() for p in network.parameters())
