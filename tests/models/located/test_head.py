"""What the heads of one and two stages share: points of the levels, and convolutions over all levels."""

from __future__ import annotations

import torch

from kinema.models.located.head import Tower, points_of


def level(size: int, valid: int, width: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(size)
    mask = torch.arange(size) < valid
    return torch.randn(1, size, width) * mask[None, :, None], mask[None]


def test_points_of_coarser_levels_are_farther_apart():
    points, strides = points_of([level(8, 8), level(4, 4), level(2, 2)])
    assert points.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 0, 2, 4, 6, 0, 4]
    assert strides.tolist() == [1] * 8 + [2] * 4 + [4] * 2


def test_levels_share_their_convolutions_and_padding_changes_nothing():
    tower = Tower(4, 2).eval()
    features, mask = level(6, 6)
    padded, longer = torch.cat([features, torch.zeros(1, 3, 4)], dim=1), torch.arange(9)[None] < 6
    alone, beside, again = tower([(features, mask)])[0], *tower([(padded, longer), (features, mask)])
    torch.testing.assert_close(beside[:, :6], alone)
    torch.testing.assert_close(again, alone)
    assert not beside[:, 6:].any()
