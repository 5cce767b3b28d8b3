"""The feature pyramid: local attention against dense attention, padding, reach."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from kinema.models.located.pyramid import Pyramid, local_attention


@pytest.mark.parametrize(("length", "window"), [(1, 19), (7, 3), (32, 19), (75, 19), (75, 1)])
def test_local_attention_is_masked_dense_attention(length: int, window: int):
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 4, length, 6, dtype=torch.float64)
    mask = torch.ones(2, length, dtype=torch.bool)
    mask[1, length - length // 3 :] = False
    near = (torch.arange(length) - torch.arange(length)[:, None]).abs() <= window // 2
    allowed = near & mask[:, None, None]
    expected = functional.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
    found = local_attention(query, key, value, mask, window)
    # Padding may see nothing at all, and what it gets does not matter.
    torch.testing.assert_close(found * mask[:, None, :, None], expected.nan_to_num() * mask[:, None, :, None])


def tiny(**changes: int) -> Pyramid:
    torch.manual_seed(0)
    arguments = {"num_in": 6, "width": 8, "levels": 3, "stem": 1, "heads": 2, "window": 5, **changes}
    return Pyramid(**arguments, drop_path=0.1).eval()


def test_padding_changes_nothing():
    pyramid = tiny()
    features = torch.randn(2, 24, 6)
    mask = torch.ones(2, 24, dtype=torch.bool)
    mask[1, 8:] = False
    for (joint, seen), (alone, _) in zip(pyramid(features, mask), pyramid(features[1:, :8], mask[1:, :8]), strict=True):
        torch.testing.assert_close(joint[1:, : alone.shape[1]], alone)
        assert not joint[1][~seen[1]].any() or seen[1].all() or joint[1][~seen[1]].std() == 0


def test_reach_is_how_far_a_feature_is_seen():
    pyramid = tiny()
    features = torch.randn(1, 128, 6, requires_grad=True)
    coarsest = pyramid(features, torch.ones(1, 128, dtype=torch.bool))[-1][0]
    coarsest[0, 16].sum().backward()  # position 64 of level 0
    seen = features.grad[0].abs().sum(dim=1).nonzero()[:, 0]
    assert 64 - seen.min() <= pyramid.reach
    assert seen.max() - 64 <= pyramid.reach
    assert max(64 - seen.min(), seen.max() - 64) > pyramid.reach // 2


def test_an_even_window_is_refused():
    with pytest.raises(ValueError, match="window"):
        tiny(window=4)
