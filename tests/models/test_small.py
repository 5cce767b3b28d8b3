"""The compact networks: one trunk, poolings, any input."""

from __future__ import annotations

import pytest
import torch

from kinema.errors import ConfigError
from kinema.models import VARIANTS, build, build_arguments


def clips_for(network: Network, count: int = 2) -> torch.Tensor:
    return torch.randn(count, *network.spec.shape, generator=torch.Generator().manual_seed(1)) / network.spec.std[0] / 4


@pytest.mark.parametrize("name", [name for name in VARIANTS if name.endswith(("_small", "_tiny"))])
def test_small_networks_take_any_length_and_size(name: str):
    clip_len = 1 if name.startswith("single") else 5
    network = build(name, num_classes=4, spec={"clip_len": clip_len, "size": [40, 56]})
    assert network.eval()(torch.zeros(1, network.spec.num_channels, clip_len, 40, 56)).shape == (1, 4)


def test_small_networks_share_one_spatial_trunk():
    def spatial(name: str) -> list[tuple[int, ...]]:
        weights = build(name, num_classes=2).state_dict()
        return [tuple(w.shape) for key, w in weights.items() if key.startswith("blocks") and "conv_time" not in key]

    trunks = [spatial(f"{kind}_small") for kind in ("single_frame", "early_fusion", "late_fusion", "slow_fusion")]
    assert all(trunk == trunks[0] for trunk in trunks)


def test_the_largest_features_do_not_care_how_much_else_there_is():
    wide = {"size": [64, 128]}
    network = build("slow_fusion_tiny", num_classes=3, spec=wide, pool="max").eval()
    mean = build("slow_fusion_tiny", num_classes=3, spec=wide).eval()
    mean.load_state_dict(network.state_dict())
    clip = torch.zeros(1, 3, 12, 64, 128)
    clip[:, :, 4:8, 24:40, 24:40] = torch.randn(1, 3, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    twice = clip + clip.roll(64, dims=-1)  # the same a second time, far away
    assert torch.allclose(network(twice), network(clip), atol=1e-5)
    assert not torch.allclose(mean(twice), mean(clip), atol=1e-4)
    assert network.features(clip).shape == (1, network.feature_dim)


def test_poolings_that_cannot_be_are_refused():
    for name, pool in (("late_fusion_tiny", "max"), ("slow_fusion_tiny", "median")):
        with pytest.raises(ConfigError, match="pool"):
            build(name, num_classes=3, pool=pool)


def test_only_fusions_can_tell_a_clip_from_its_reverse():
    for name, tells in (("single_frame_tiny", False), ("late_fusion_tiny", True), ("slow_fusion_tiny", True)):
        network = build(name, num_classes=4).eval()
        clip = clips_for(network, 1)
        assert torch.allclose(network(clip), network(clip.flip(2)), atol=1e-6) != tells


def test_units_of_the_joining_layer_stay_alive_whatever_the_weights_become():
    """A large step in one direction, which every unit's rectifier would otherwise turn to 0 for every clip."""
    for norm, alive in ((True, True), (False, False)):
        network = build("late_fusion_tiny", num_classes=4, join_norm=norm).eval()
        with torch.no_grad():
            network.join[0].weight -= 0.1  # its inputs, behind a rectifier, are all positive
            assert bool((network.features(clips_for(network)) > 0).any()) is alive


@pytest.mark.parametrize("name", ["late_fusion_small", "late_fusion_tiny"])
def test_late_fusion_from_before_its_norm_is_built_without_one(name: str):
    network = build(name, num_classes=3)
    assert network.arguments["join_norm"] is True
    assert "join.norm.weight" in network.state_dict()
    assert build_arguments(name, {"num_classes": 3}) == {"num_classes": 3, "join_norm": False}
    assert build_arguments(name, network.arguments) == network.arguments
    assert "join.norm.weight" not in build(name, **build_arguments(name, {"num_classes": 3})).state_dict()
