"""Networks by name."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from kinema.errors import ConfigError, UnknownName
from kinema.models import build
from kinema.weights.checkpoint import ModelCard, save_checkpoint
from kinema.weights.named import network_without_weights, open_network


def test_a_network_by_name_has_always_the_same_weights():
    first, again = (open_network("single_frame_tiny")[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert open_network("resnet10t")[0].variant == "single_frame"
    with pytest.raises(UnknownName, match="slow_fusion_tiny"):
        open_network("slow_fusion_tinny")


def test_a_card_of_a_huge_network_beside_a_small_file_is_refused(tmp_path):
    network = build("slow_fusion_tiny", num_classes=2)
    card = ModelCard.of(network, ("a", "b"))
    save_checkpoint(tmp_path / "best", network, card)
    assert network_without_weights(str(tmp_path / "best")).num_classes == 2
    huge = dataclasses.replace(card, arguments={**card.arguments, "width": 100_000})
    (tmp_path / "best" / "model.json").write_text(json.dumps(huge.to_json()))
    with pytest.raises(ConfigError, match="its file has"):
        network_without_weights(str(tmp_path / "best"))
