from __future__ import annotations

import pytest
import torch

from kinema.errors import ConfigError
from kinema.models import build


@pytest.mark.parametrize("name", ["lecture_late_fusion", "lecture_early_fusion", "lecture_3d_cnn"])
def test_features_are_24_averages(name: str):
    network = build(name, spec={"clip_len": 4, "size": (8, 8)}).eval()
    clip = torch.randn(2, *network.spec.shape)
    assert network.features(clip).shape == (2, 24)
    assert network(clip).shape == (2, 10)


def test_only_late_fusion_is_blind_to_the_order_of_frames():
    clip = torch.randn(1, 3, 4, 8, 8)
    for name, blind in (("lecture_late_fusion", True), ("lecture_early_fusion", False), ("lecture_3d_cnn", False)):
        network = build(name, spec={"clip_len": 4, "size": (8, 8)}).eval()
        assert torch.allclose(network.features(clip), network.features(clip.flip(2)), atol=1e-6) == blind


def test_a_clip_that_pooling_would_reduce_to_nothing_is_refused():
    with pytest.raises(ConfigError, match="it takes 4 x 4 x 4 at least"):
        build("lecture_3d_cnn", spec={"clip_len": 3, "size": (8, 8)})
