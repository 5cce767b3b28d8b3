"""A network cut in two gives what it gives as a whole, and the cut's fingerprint tells what kept features depend on."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.models import build
from kinema.models.frozen_split import TrainableHead, check_split, frozen_features, frozen_fingerprint
from kinema.models.network import Network, group


def late(**changes) -> Network:
    torch.manual_seed(0)
    arguments = {"num_classes": 3, "backbone": "test_resnet", "spec": {"clip_len": 3, "size": (32, 32)}, **changes}
    return build("late_fusion", **arguments)


@pytest.mark.parametrize("head", ["fc", "mean", "max"])
def test_both_halves_are_the_whole(head):
    network = late(head=head).eval()
    clips = torch.randn(2, *network.spec.shape)
    kept = frozen_features(network, clips)
    assert kept.shape[:2] == (2, 3)
    torch.testing.assert_close(TrainableHead(network)(kept), network(clips))


def test_a_network_without_join_is_cut_before_its_classifier():
    torch.manual_seed(0)
    network = build("slow_fusion_tiny", num_classes=3, spec={"size": (32, 32)}).eval()
    clips = torch.randn(2, *network.spec.shape)
    kept = frozen_features(network, clips)
    assert kept.shape == (2, 1, network.feature_dim)
    torch.testing.assert_close(TrainableHead(network)(kept), network(clips))


def test_padded_vectors_do_not_count():
    network = late(head="mean").eval()
    kept = torch.randn(2, 3, network.feature_dim)
    padded = torch.cat([kept, torch.full_like(kept, 9.0)], dim=1)
    lengths = torch.tensor([3, 3])
    torch.testing.assert_close(TrainableHead(network)(padded, lengths), TrainableHead(network)(kept))


def test_the_fingerprint_is_of_the_front_half_alone():
    network = late()
    was = frozen_fingerprint(network)
    assert was == frozen_fingerprint(late())
    with torch.no_grad():
        network.classifier.weight.add_(1.0)
        network.joining[0].weight.add_(1.0)
    network.reset_classifier(7)
    assert frozen_fingerprint(network) == was, "what learns does not count"
    assert frozen_fingerprint(late(head="mean")) == was, "heads share what an encoder made"
    assert frozen_fingerprint(late(hidden=(64,), dropout=0.5)) == was
    network.spec = network.spec.with_(window_s=3.0)
    assert frozen_fingerprint(network) == was, "the length of films at prediction is not of a clip"


@pytest.mark.parametrize("change", ["weight", "statistics", "input", "arguments"])
def test_whatever_changes_its_output_changes_the_fingerprint(change):
    network = late()
    was = frozen_fingerprint(network)
    if change == "weight":
        with torch.no_grad():
            next(network.backbone.parameters()).view(-1)[0].add_(1e-3)
    elif change == "statistics":
        next(m for m in network.modules() if isinstance(m, nn.BatchNorm2d)).running_mean[0] += 1e-3
    elif change == "input":
        network.spec = network.spec.with_(short_side=40)
    else:
        network.arguments = {**network.arguments, "tokens": "all"}
    assert frozen_fingerprint(network) != was


class Memory(Network):
    """Layers that learn with the classifier and cannot be called apart."""

    num_head_stages = 1

    def __init__(self) -> None:
        super().__init__(late().spec, 4, 3)
        self.encoder, self.recurrence = nn.Linear(3, 4), nn.Linear(4, 4)

    def features(self, clip):
        return self.recurrence(self.encoder(clip.mean(dim=(2, 3, 4))))

    def stages(self):
        return [("encoder", group(encoder=self.encoder)), ("recurrence", group(recurrence=self.recurrence))]


class OwnForward(Memory):
    num_head_stages = 0

    def forward(self, clip):
        return super().forward(clip) * 2


@pytest.mark.parametrize("network", [Memory, OwnForward])
def test_a_network_that_cannot_be_cut_is_refused(network):
    with pytest.raises(ConfigError, match="--keep-features"):
        check_split(network())
