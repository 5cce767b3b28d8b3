"""Temporal RoI pooling against torchvision's RoIAlign on maps of one row."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import roi_align as torchvision_roi_align

from kinema.models.located.roi_align import roi_align


@pytest.mark.parametrize(("bins", "samples"), [(1, 1), (4, 2), (7, 3)])
@pytest.mark.parametrize("length", [1, 2, 23])
def test_equals_torchvision(bins: int, samples: int, length: int):
    torch.manual_seed(0)
    features = torch.randn(3, 5, length, dtype=torch.float64, requires_grad=True)
    starts = torch.rand(40, dtype=torch.float64) * 40 - 10
    rois = torch.stack([starts, starts + torch.rand(40, dtype=torch.float64) * 30 + 0.01], dim=1)
    rows = torch.randint(3, (40,))
    # There a cell begins half a position before its sample, and the one row lies at height 0.
    zeros, ones = torch.zeros(40, dtype=torch.float64), torch.ones(40, dtype=torch.float64)
    boxes = torch.stack([rows.double(), rois[:, 0] + 0.5, zeros, rois[:, 1] + 0.5, ones], dim=1)
    expected = torch.cat(
        [
            torchvision_roi_align(features[:, :, None], box[None], (1, bins), sampling_ratio=samples, aligned=True)
            for box in boxes
        ]
    )[:, :, 0]
    found = roi_align(features, rois, rows, bins, samples)
    torch.testing.assert_close(found, expected)
    gradient = torch.randn_like(found)
    (ours,) = torch.autograd.grad(found, features, gradient)
    (theirs,) = torch.autograd.grad(expected, features, gradient)
    torch.testing.assert_close(ours, theirs)


def test_no_region_gives_no_row():
    assert roi_align(torch.randn(1, 2, 8), torch.zeros(0, 2), torch.zeros(0, dtype=torch.long), 4).shape == (0, 2, 4)
