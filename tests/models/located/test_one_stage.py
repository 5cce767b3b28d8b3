"""What each point of the one-stage network learns."""

from __future__ import annotations

import torch

from kinema.models.located.head import Truth
from kinema.models.located.one_stage import assign

STRIDES = torch.tensor([1.0] * 32 + [2.0] * 16 + [4.0] * 8)
POINTS = torch.cat([torch.arange(0, 32, stride, dtype=torch.float32) for stride in (1, 2, 4)])


def learned(times: list[list[float]], classes: list[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return assign(POINTS, STRIDES, Truth(torch.tensor(times).reshape(-1, 2), torch.tensor(classes).long()), 3, 1.5)


def test_points_near_the_centre_learn_an_action_at_the_level_of_its_length():
    targets, times, learns = learned([[10.0, 14.0]], [1])
    # The farther border of points 11 to 13 is at most 4 positions away; 1.5 strides around 12.
    assert POINTS[learns].tolist() == [11, 12, 13]
    assert STRIDES[learns].tolist() == [1, 1, 1]
    assert targets[learns].tolist() == [[0, 1, 0]] * 3
    assert times[learns].tolist() == [[10.0, 14.0]] * 3
    assert targets.sum() == 3


def test_a_long_action_is_learned_at_the_last_level():
    _, _, learns = learned([[2.0, 30.0]], [0])
    assert set(STRIDES[learns].tolist()) == {4.0}


def test_of_two_overlapping_actions_a_point_learns_the_shorter_one():
    targets, times, learns = learned([[10.0, 14.0], [10.2, 13.8]], [0, 2])
    assert POINTS[learns].tolist() == [11, 12, 13]
    assert targets[learns].tolist() == [[0, 0, 1]] * 3
    torch.testing.assert_close(times[learns], torch.tensor([[10.2, 13.8]] * 3))


def test_of_equal_actions_a_point_learns_all_classes():
    targets, _, learns = learned([[10.0, 14.0], [10.0, 14.0]], [0, 2])
    assert targets[learns].tolist() == [[1, 0, 1]] * 3


def test_overlapping_actions_of_other_lengths_are_learned_at_other_levels():
    targets, _, learns = learned([[11.0, 14.0], [2.0, 30.0]], [0, 1])
    fine, coarse = learns & (STRIDES == 1), learns & (STRIDES == 4)
    assert targets[fine].tolist() == [[1, 0, 0]] * int(fine.sum())
    assert targets[coarse].tolist() == [[0, 1, 0]] * int(coarse.sum())
    assert fine.any()
    assert coarse.any()


def test_no_action_is_learned_as_nothing():
    targets, _, learns = learned([], [])
    assert not targets.any()
    assert not learns.any()
