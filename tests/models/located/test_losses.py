"""Losses of located actions against torchvision's."""

from __future__ import annotations

import torch
from torchvision.ops import distance_box_iou_loss, sigmoid_focal_loss

from kinema.models.located.losses import diou_loss, focal_loss


def test_focal_loss_is_that_of_torchvision():
    torch.manual_seed(0)
    logits, targets = torch.randn(50, 4, dtype=torch.float64) * 4, torch.rand(50, 4, dtype=torch.float64).round()
    torch.testing.assert_close(focal_loss(logits, targets), sigmoid_focal_loss(logits, targets))
    other = sigmoid_focal_loss(logits, targets, alpha=0.6, gamma=1.5)
    torch.testing.assert_close(focal_loss(logits, targets, alpha=0.6, gamma=1.5), other)


def test_diou_loss_is_that_of_torchvision_on_flat_boxes():
    torch.manual_seed(0)
    starts = torch.rand(2, 200, dtype=torch.float64) * 30
    segments = torch.stack([starts, starts + torch.rand(2, 200, dtype=torch.float64) * 20 + 0.1], dim=2)
    # The height of 1 counts in the diagonal there, so it is made small beside the lengths.
    low, high = segments[..., :1] * 1e5, segments[..., 1:] * 1e5
    boxes = torch.cat([low, torch.zeros_like(low), high, torch.ones_like(high)], dim=2)
    torch.testing.assert_close(diou_loss(*segments), distance_box_iou_loss(boxes[0], boxes[1]), rtol=1e-6, atol=1e-6)


def test_diou_loss_of_equal_segments_is_zero_and_of_distant_ones_above_one():
    segment = torch.tensor([[2.0, 6.0]])
    assert diou_loss(segment, segment).item() == 0
    assert diou_loss(segment, segment + 100).item() > 1.8
