from __future__ import annotations

import numpy as np
import pytest
import torch

from kinema.clips.mixing import apply_cutmix, apply_mixup, mix, soft_targets

CLIPS = torch.stack([torch.full((3, 2, 8, 8), float(value)) for value in range(4)])
TARGETS = torch.eye(4)
VALUES = torch.arange(4.0)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_soft_targets_are_one_hot_and_smoothing_spreads_a_share():
    assert soft_targets(torch.tensor([1]), 4).tolist() == [[0, 1, 0, 0]]
    assert soft_targets(torch.tensor([1]), 4, smoothing=0.2)[0].tolist() == pytest.approx([0.05, 0.85, 0.05, 0.05])


def test_multi_hot_targets_stay_as_they_are():
    targets = torch.tensor([[1.0, 1.0, 0.0]])
    assert soft_targets(targets, 3, smoothing=0.1) is targets


@pytest.mark.parametrize("blend", [apply_mixup, apply_cutmix])
def test_targets_are_mixed_in_the_same_measure_as_the_pixels(blend):
    for seed in range(20):
        clips, targets = blend(CLIPS, TARGETS, rng(seed), 1.0)
        assert torch.allclose(clips.mean(dim=(1, 2, 3, 4)), targets @ VALUES, atol=1e-5)
        assert torch.allclose(targets.sum(dim=1), torch.ones(4))


def test_cutmix_pastes_the_same_box_in_all_frames():
    clips, _ = apply_cutmix(CLIPS, TARGETS, rng(1), 1.0)
    assert set(clips.unique().tolist()) <= {0.0, 1.0, 2.0, 3.0}
    assert torch.equal(clips[:, :, 0], clips[:, :, 1])


def test_mixing_that_is_off_changes_nothing():
    clips, targets = mix(CLIPS, TARGETS, rng())
    assert clips is CLIPS
    assert targets is TARGETS


def test_mixing_draws_one_of_the_ways_that_are_on():
    pasted = blended = 0
    for seed in range(40):
        clips, _ = mix(CLIPS, TARGETS, rng(seed), mixup=1.0, cutmix=1.0)
        whole = torch.equal(clips, clips.round())
        pasted, blended = pasted + whole, blended + (not whole)
    assert pasted > 5
    assert blended > 5


def test_the_same_generator_mixes_the_same_way():
    assert torch.equal(mix(CLIPS, TARGETS, rng(2), mixup=0.4)[0], mix(CLIPS, TARGETS, rng(2), mixup=0.4)[0])


def test_mixing_blends_both_modalities():
    clips = torch.rand(4, 5, 2, 8, 8)
    mixed, _ = apply_mixup(clips, torch.eye(4), rng(), 1.0)
    assert (mixed != clips)[:, :3].any()
    assert (mixed != clips)[:, 3:].any()
