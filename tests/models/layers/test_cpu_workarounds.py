"""Replaced convolutions give what torch gives, whatever form their arguments have."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kinema.models.layers.cpu_workarounds import MendedConvolutions


@pytest.mark.parametrize("padding", [1, (1, 0, 2), "same"])
@pytest.mark.parametrize("num_frames", [1, 2, 5])
def test_what_comes_out_is_the_same(padding: object, num_frames: int):
    torch.manual_seed(0)
    conv = nn.Conv3d(4, 6, 3, padding=padding)  # type: ignore[arg-type]
    clip = torch.randn(2, 4, num_frames, 7, 5)
    with MendedConvolutions():
        padded = conv(clip)
    torch.testing.assert_close(padded, conv(clip))
