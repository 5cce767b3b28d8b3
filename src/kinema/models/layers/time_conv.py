"""Layers over time that are initialised from 2-D layers: inflated convolutions, filters over time, max pooling.

How the weights of a 2-D filter are distributed over time, so that a clip without motion gives the output of its frame:

    mean     copies, divided by their number (Carreira and Zisserman 2017)
    centre   all in the middle slice: each frame gives its 2-D output
    shift    the same, but an eighth of the filters sees the next frame, an eighth the previous (TSM, Lin et al. 2019)

With the first two, a clip and its reverse have the same output and the same gradient: weights that would distinguish
them start at zero, and directions of motion are learned late. With "shift" they are learned at once.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from kinema.models.layers.onednn_conv import OneDnnConv3d

Init = Literal["shift", "centre", "mean"]
Padding = Literal["zeros", "replicate"]

_SHARE = 8


class InflatedConv(OneDnnConv3d):
    """A convolution over time and space, initialised from one over space.

    Args:
        conv: an ordinary convolution, or one with TensorFlow's "same" padding.
        length: of the filters over time; odd.
        init: see the module.
        padding: "zeros" or "replicate", before and after the clip; the padding over space stays.
    """

    def __init__(self, conv: nn.Conv2d, length: int, init: Init, padding: Padding) -> None:
        from timm.layers import Conv2dSame, pad_same

        if type(conv) not in (nn.Conv2d, Conv2dSame) or conv.padding_mode != "zeros" or isinstance(conv.padding, str):
            raise ValueError(f"{conv} cannot be made 3-D; kind='depthwise' leaves it as it is")
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            _with_time(length, conv.kernel_size),
            _with_time(1, conv.stride),
            _with_time(length // 2 if padding == "zeros" else 0, conv.padding),
            _with_time(1, conv.dilation),
            conv.groups,
            conv.bias is not None,
            device="meta",  # the weights are set below
        )
        self.replicated = length // 2 if padding == "replicate" else 0
        self.pad_same = pad_same if isinstance(conv, Conv2dSame) else None
        self.weight = nn.Parameter(over_time(conv.weight.detach(), length, init))
        self.bias = conv.bias

    def forward(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b d t y x"]:
        """As many time steps as before."""
        if self.pad_same is not None:
            clip = self.pad_same(clip, self.kernel_size[1:], self.stride[1:], self.dilation[1:])
        if self.replicated:
            clip = F.pad(clip, (0, 0, 0, 0, self.replicated, self.replicated), mode="replicate")
        return super().forward(clip)


class TimeConv(nn.Conv2d):
    """Filters over time, depthwise or over all channels.

    Positions are flattened: depthwise n x 1 filters over times and places take a tenth of the time of torch's 3-D ones.

    Args:
        channels: in and out.
        length: of the filters; odd.
        groups: the number of channels for depthwise filters (also 0), 1 to mix channels.
        init: see the module.
        padding: "zeros" or "replicate".
    """

    def __init__(
        self, channels: int, length: int = 3, groups: int = 0, init: Init = "shift", padding: Padding = "zeros"
    ) -> None:
        groups = groups or channels
        around = length // 2 if padding == "zeros" else 0
        super().__init__(channels, channels, (length, 1), padding=(around, 0), groups=groups, bias=False)
        self.replicated = length // 2 if padding == "replicate" else 0
        identity = torch.ones(channels, 1, 1) if groups == channels else torch.eye(channels)[:, :, None]
        self.weight = nn.Parameter(over_time(identity, length, init).to(self.weight))

    def forward(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c t h w"]:
        """As many time steps as before."""
        places = clip.flatten(3)
        if self.replicated:
            places = F.pad(places, (0, 0, self.replicated, self.replicated), mode="replicate")
        return torch.unflatten(super().forward(places), 3, clip.shape[3:])


class TimePool(nn.MaxPool2d):
    """The maximum of each `stride` time steps; the last window can be shorter."""

    def __init__(self, stride: int) -> None:
        super().__init__((stride, 1), ceil_mode=True)

    def forward(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c s h w"]:
        """Fewer time steps."""
        return torch.unflatten(super().forward(clip.flatten(3)), 3, clip.shape[3:])


def over_time(weight: Float[Tensor, "d c *k"], length: int, init: Init) -> Float[Tensor, "d c {length} *k"]:
    """Filters with a time axis after the channels; their sum over time is the given filter."""
    if init == "mean":
        return weight.unsqueeze(2).repeat_interleave(length, 2) / length
    share = max(1, len(weight) // _SHARE) if init == "shift" and length > 1 else 0
    filters = []
    for ahead, part in zip((1, -1, 0), torch.split(weight, [share, share, len(weight) - 2 * share]), strict=True):
        slices = [torch.zeros_like(part)] * length
        slices[length // 2 + ahead] = part
        filters.append(torch.stack(slices, dim=2))
    return torch.cat(filters)


def _with_time(number: int, over_space: tuple[int, ...]) -> tuple[int, int, int]:
    height, width = over_space
    return number, height, width
