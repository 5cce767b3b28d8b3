"""Layers over time: how filters of one frame are laid out, against torch's 3-D convolutions."""

from __future__ import annotations

import torch
from torch import nn

from kinema.models.layers.time_conv import InflatedConv, TimeConv
from kinema.models.shift import Shift


@torch.no_grad()
def test_inflated_filters_are_copies_that_add_up():
    conv = nn.Conv2d(3, 5, 3, stride=2, padding=1)
    for init in ("mean", "centre", "shift"):
        inflated = InflatedConv(conv, 5, init, "zeros")
        assert inflated.weight.shape == (5, 3, 5, 3, 3)
        torch.testing.assert_close(inflated.weight.sum(2), conv.weight)
    torch.testing.assert_close(InflatedConv(conv, 5, "mean", "zeros").weight[:, :, 0], conv.weight / 5)


def test_shift_lays_an_eighth_of_the_filters_ahead_and_an_eighth_behind():
    places = TimeConv(16).weight[:, 0, :, 0].argmax(1).tolist()
    assert places == [2, 2, 0, 0, *[1] * 12]
    clip = torch.randn(1, 16, 4, 2, 2)
    torch.testing.assert_close(TimeConv(16)(clip), Shift(2)(clip))


@torch.no_grad()
def test_filter_over_time_is_a_depthwise_3d_convolution():
    for padding in ("zeros", "replicate"):
        time = TimeConv(6, 3, padding=padding)
        nn.init.normal_(time.weight)
        clip = torch.randn(2, 6, 5, 4, 3)
        ends = clip if padding == "zeros" else torch.cat([clip[:, :, :1], clip, clip[:, :, -1:]], 2)
        expected = nn.functional.conv3d(ends, time.weight[..., None], padding=(int(padding == "zeros"), 0, 0), groups=6)
        torch.testing.assert_close(time(clip), expected)
