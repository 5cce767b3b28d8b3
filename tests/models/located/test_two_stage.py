"""What anchors and proposals of the two-stage network learn."""

from __future__ import annotations

import pytest
import torch

from kinema.models.located.head import Truth
from kinema.models.located.two_stage import class_loss, moved, proposal_loss, tiou

NOTHING = Truth(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long))


def truth(*actions: tuple[float, float, int]) -> Truth:
    return Truth(torch.tensor([action[:2] for action in actions]), torch.tensor([kind for *_, kind in actions]))


def test_segments_are_moved_by_lengths_and_factors():
    segments = torch.tensor([[10.0, 14.0]])
    changes = torch.tensor([[0.5, torch.tensor(2.0).log().item()]])
    torch.testing.assert_close(moved(segments, changes), torch.tensor([[10.0, 18.0]]))  # centre 14, length 8
    torch.testing.assert_close(moved(segments, torch.zeros(1, 2)), segments)


def test_overlap_is_intersection_over_union():
    overlap = tiou(torch.tensor([[0.0, 4.0], [4.0, 8.0]]), torch.tensor([[2.0, 6.0]]))
    torch.testing.assert_close(overlap, torch.tensor([[1 / 3], [1 / 3]]))


def test_an_action_that_no_anchor_fits_is_learned_by_the_best_one():
    anchors = torch.tensor([[0.0, 2.0], [1.0, 3.0], [20.0, 22.0]])
    logits = torch.zeros(3, requires_grad=True)
    proposal_loss(anchors, anchors, logits, truth((0.5, 10.0, 0))).backward()
    # The first overlaps by 1.5 of 10, the second by 2 of 9.5 and is the best; the third lies elsewhere.
    assert logits.grad is not None
    assert (logits.grad > 0).tolist() == [True, False, True]


def test_anchors_between_the_thresholds_learn_nothing():
    anchors = torch.tensor([[0.0, 10.0], [0.0, 5.0]])  # tIoU 1 and 0.5
    logits = torch.zeros(2, requires_grad=True)
    proposal_loss(anchors, anchors, logits, truth((0.0, 10.0, 0))).backward()
    assert logits.grad is not None
    assert logits.grad[0] < 0
    assert logits.grad[1] == 0


@pytest.mark.parametrize("actions", [((0.0, 10.0, 0), (0.0, 10.0, 2)), ((0.0, 10.0, 0), (0.0, 6.0, 2))])
def test_a_proposal_learns_all_classes_of_the_actions_that_it_overlaps_most(actions):
    rois = torch.tensor([[0.0, 10.0]])
    logits = torch.zeros(1, 3, requires_grad=True)
    class_loss(rois, rois, logits, truth(*actions)).backward()
    assert logits.grad is not None
    assert (logits.grad[0] < 0).tolist() == [True, False, actions[1][1] == 10.0]


def test_without_an_action_everything_learns_its_absence():
    anchors = torch.tensor([[0.0, 2.0], [1.0, 3.0]])
    logits = torch.zeros(2, requires_grad=True)
    classes = torch.zeros(2, 3, requires_grad=True)
    (proposal_loss(anchors, anchors, logits, NOTHING) + class_loss(anchors, anchors, classes, NOTHING)).backward()
    assert logits.grad is not None
    assert classes.grad is not None
    assert (logits.grad > 0).all()
    assert (classes.grad > 0).all()
