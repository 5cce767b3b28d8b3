"""Two networks joined to one, without commands."""

from __future__ import annotations

import pytest

from kinema import models
from kinema.errors import CheckpointError, ConfigError, UsageError
from kinema.runs.fuse import FuseConfig, join, parse_weights
from kinema.weights.checkpoint import ModelCard


def trained(labels: tuple[str, ...] = ("a", "b"), size: int = 32) -> tuple[models.Network, ModelCard]:
    network = models.build("single_frame_tiny", num_classes=len(labels), spec={"size": (size, size)})
    return network, ModelCard.of(network, labels)


def test_weights_are_two_positive_numbers():
    assert parse_weights("1,1.5") == [1.0, 1.5]
    for text in ("1", "1,2,3", "1,-1", "1,inf", "a,b", ""):
        with pytest.raises(ConfigError, match="--weights"):
            parse_weights(text)


def test_the_card_of_the_joined_network_says_what_it_is_made_of():
    network, card = join([trained(), trained()], FuseConfig(data="d", out="o", weights="1,3"), ["x", "y"])
    assert card.training == {"fused": ["x", "y"], "weights": [1.0, 3.0], "svm": False}
    assert (card.variant, card.labels, network.num_classes) == ("fused", ("a", "b"), 2)
    assert not network.training


def test_networks_with_other_classes_or_clips_are_refused():
    config = FuseConfig(data="d", out="o")
    with pytest.raises(CheckpointError, match="different classes"):
        join([trained(), trained(("a", "c"))], config, ["x", "y"])
    with pytest.raises(UsageError, match="cannot share a clip"):
        join([trained(), trained(size=40)], config, ["x", "y"])
