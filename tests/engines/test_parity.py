"""Differences of scores between engines are found, on clips that are the same each time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kinema.engines.parity import NUM_PROBES, largest_difference, probe_clips
from kinema.engines.scorer import Scorer
from kinema.models import build
from kinema.models.network import Network
from kinema.weights.checkpoint import ModelCard


class Changed(Scorer):
    """Adds to the logits of single clips, or of whole batches."""

    def __init__(self, network: Network, alone: float = 0.0, together: float = 0.0) -> None:
        super().__init__(network, device="cpu", precision="f32")
        self.alone, self.together = alone, together

    def __call__(self, clips: torch.Tensor) -> np.ndarray:
        logits = super().__call__(clips)
        logits[:, 0] += self.alone if len(clips) == 1 else self.together
        return logits


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    return build("slow_fusion_tiny", num_classes=2, spec={"clip_len": 4, "size": (16, 16)}).eval()


def test_a_scorer_of_the_same_network_has_no_difference(network):
    assert largest_difference(Changed(network), network, ModelCard.of(network, ("a", "b"))) < 1e-6


@pytest.mark.parametrize("change", [{"alone": 1.0}, {"together": 1.0}])
def test_differences_in_batches_and_alone_are_found(network, change):
    assert largest_difference(Changed(network, **change), network, ModelCard.of(network, ("a", "b"))) > 0.1


def test_probes_are_the_same_clips_each_time(network):
    first, again = probe_clips(network.spec, NUM_PROBES), probe_clips(network.spec, NUM_PROBES)
    assert torch.equal(first, again)
    assert first.shape == (NUM_PROBES, 3, 4, 16, 16)
    assert first.float().std() > 20
