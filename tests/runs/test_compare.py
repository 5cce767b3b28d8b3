"""A comparison without trainings: the settings of each network."""

from __future__ import annotations

import pytest

from kinema import models
from kinema.errors import UnknownName
from kinema.runs.compare import CompareConfig, check_networks, learned_mirrored, settings_for
from kinema.weights.checkpoint import ModelCard


def test_each_network_gets_the_settings_that_it_can_use():
    config = CompareConfig(clip_len=6, flow_method="dis", epochs=3)
    single, rgb, flow = (settings_for(n, config) for n in ("single_frame", "slow_fusion", "temporal_stream_small"))
    assert (single.clip_len, rgb.clip_len, flow.clip_len) == (None, 6, 6)
    assert (rgb.flow_method, flow.flow_method) == (None, "dis")
    assert single.epochs == rgb.epochs == 3


def test_a_misspelt_network_is_found_before_the_first_is_trained():
    with pytest.raises(UnknownName, match="slow_fusion_tiny"):
        check_networks(["single_frame_tiny", "slow_fusion_tinny"], CompareConfig())


def test_networks_count_as_trained_on_mirrored_clips_if_their_card_says_so():
    card = ModelCard.of(models.build("slow_fusion_tiny", num_classes=2), ("a", "b"))
    given = ({}, {"augment": "standard"}, {"augment": "none"}, {"augment": "standard", "flip": 0.0}, {"flip": 0.5})
    found = [learned_mirrored(ModelCard(card.variant, {}, card.labels, training=training)) for training in given]
    assert found == [False, True, False, False, True]
