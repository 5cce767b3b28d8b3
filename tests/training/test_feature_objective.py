"""Training on kept features gives the loss of training on the clips."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kinema import models
from kinema.clips.transforms import normalize
from kinema.datasets.clips import Batch
from kinema.datasets.features import FeatureBatch
from kinema.errors import ConfigError
from kinema.models.frozen_split import frozen_features
from kinema.training.feature_objective import FeatureObjective, check_kept
from kinema.training.losses import ClipLoss
from kinema.training.objective import ClipObjective
from kinema.training.options import FitOptions


@pytest.fixture
def network() -> models.Network:
    torch.manual_seed(0)
    return models.build("slow_fusion_tiny", num_classes=3, dropout=0.0, spec={"size": (24, 24), "clip_len": 8}).eval()


def test_the_loss_of_features_is_that_of_their_clips(network):
    clips = torch.randint(0, 256, (4, *network.spec.shape), dtype=torch.uint8)
    targets, indices, rng = torch.tensor([0, 1, 2, 0]), torch.arange(4), np.random.default_rng(0)
    plain = ClipObjective(network, FitOptions(), ClipLoss(3)).learn(network, Batch(clips, targets, indices), rng)
    with torch.no_grad():
        features = frozen_features(network, normalize(clips, network.spec))
    objective = FeatureObjective(network, ClipLoss(3))
    batch = FeatureBatch(features, targets, indices)
    kept = objective.learn(objective.module(network), batch, rng)
    torch.testing.assert_close(kept.loss, plain.loss)
    assert (kept.hits, objective.num_counted(batch)) == (plain.hits, 4)


def test_an_empty_batch_gives_a_gradient_of_zero(network):
    objective = FeatureObjective(network, ClipLoss(3))
    objective.nothing(objective.module(network)).backward()
    gradient = network.classifier.weight.grad
    assert gradient is not None
    assert not gradient.any()


def test_options_that_change_the_frozen_part_or_its_pixels_are_refused(network):
    check_kept(network, FitOptions(transfer="head"))
    with pytest.raises(ConfigError, match="frozen encoder"):
        check_kept(network, FitOptions(transfer="last:1"))
    with pytest.raises(ConfigError, match="blend pixels"):
        check_kept(network, FitOptions(transfer="head", cutmix=1.0))
