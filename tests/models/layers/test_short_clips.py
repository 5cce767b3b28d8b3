from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from kinema.models.device import autocast

CPU = torch.device("cpu")


def gradient(conv: nn.Conv3d, clip: Tensor, precision: str) -> Tensor:
    conv.zero_grad()
    with autocast(CPU, precision):
        out = conv(clip)
    out.float().square().mean().backward()
    assert conv.weight.grad is not None
    return conv.weight.grad.clone()


@pytest.mark.parametrize(("length", "num_frames"), [(3, 2), (5, 2), (5, 4), (3, 3), (3, 8)])
@pytest.mark.parametrize("groups", [1, 32])
def test_weights_get_the_gradient_of_f32_however_short_the_clip(length: int, num_frames: int, groups: int):
    torch.manual_seed(0)
    conv = nn.Conv3d(32, 32, (length, 3, 3), padding=(length // 2, 1, 1), groups=groups)
    clip = torch.randn(4, 32, num_frames, 6, 6)
    right = gradient(conv, clip, "f32")
    for _ in range(5):
        torch.testing.assert_close(gradient(conv, clip, "bf16"), right, rtol=0, atol=0.02 * float(right.abs().max()))
