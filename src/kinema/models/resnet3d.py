"""Residual networks over time: R3D, MC3, R(2+1)D (Tran et al. 2018).

One network in which each stage has its own filters: "3d" 3 x 3 x 3; "2d" 1 x 3 x 3, none over time; "2+1d" 1 x 3 x 3
into M channels, batch norm, ReLU, 3 x 1 x 1. M is chosen so that (2+1)D has as many weights as 3D:

    M = floor(27 * inputs * outputs / (9 * inputs + 3 * outputs))

with a block's own inputs and outputs for both of its convolutions. Stages with filters over time halve time and space
together. The small networks see 16 frames spread over the video; their stem has a stride of 2 over time and 4 over space.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from kinema.models.network import SpatialNetwork, fastest_layout
from kinema.models.variant import Variant
from kinema.types import InputSpec

Conv = Literal["3d", "2d", "2+1d"]
_STEM_MIDDLE = 45 / 64  # M in the stem, as a share of its outputs: the authors' network does not follow the rule there


class Block(nn.Module):
    """Two convolutions and a shortcut around them.

    Args:
        kind: filters of both convolutions.
        inputs: channels in.
        outputs: channels out.
        stride: of the first convolution over space, and over time unless `kind` is "2d".
    """

    def __init__(self, kind: Conv, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        middle = max(1, 27 * inputs * outputs // (9 * inputs + 3 * outputs))
        strides = (1 if kind == "2d" else stride, stride)
        self.conv1 = nn.Sequential(
            _conv(kind, inputs, middle, outputs, strides), nn.BatchNorm3d(outputs), nn.ReLU(inplace=True)
        )
        self.conv2 = nn.Sequential(_conv(kind, outputs, middle, outputs, (1, 1)), nn.BatchNorm3d(outputs))
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            shrink = nn.Conv3d(inputs, outputs, 1, (strides[0], stride, stride), bias=False)
            self.shortcut = nn.Sequential(shrink, nn.BatchNorm3d(outputs))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b d s y x"]:
        """ReLU of the sum of branch and shortcut."""
        return self.relu(self.conv2(self.conv1(x)) + self.shortcut(x))


def _conv(kind: Conv, inputs: int, middle: int, outputs: int, stride: tuple[int, int]) -> nn.Module:
    """A 3 x 3 convolution of a kind; strides over time and space."""
    time, space = stride
    if kind == "2+1d":
        return nn.Sequential(*_factored(inputs, middle, outputs, 3, (time, space, space)))
    length = 1 if kind == "2d" else 3
    return nn.Conv3d(inputs, outputs, (length, 3, 3), (time, space, space), padding=(length // 2, 1, 1), bias=False)


def _factored(inputs: int, middle: int, outputs: int, size: int, stride: Sequence[int]) -> list[nn.Module]:
    """A filter over space and one over time, with norm and ReLU between them."""
    time, height, width = stride
    return [
        nn.Conv3d(inputs, middle, (1, size, size), (1, height, width), (0, size // 2, size // 2), bias=False),
        nn.BatchNorm3d(middle),
        nn.ReLU(inplace=True),
        nn.Conv3d(middle, outputs, (3, 1, 1), (time, 1, 1), (1, 0, 0), bias=False),
    ]


class ResNet3d(SpatialNetwork):
    """A residual network of basic blocks over a clip.

    Args:
        spec: the input; any length and size.
        num_classes: length of the logits.
        convs: kind of each stage's filters; with "2+1d" in the first, the stem is factored too.
        depths: blocks of each stage. Stages after the first halve space.
        width: multiplies all channel counts; 1 has 64 in the first stage, and each further stage doubles them.
        stem_stride: stride of the first 3 x 7 x 7 filters over time, height, width.
        dropout: before the classifier.
    """

    def __init__(
        self,
        spec: InputSpec,
        num_classes: int,
        convs: Sequence[Conv] = ("3d",) * 4,
        depths: Sequence[int] = (2, 2, 2, 2),
        width: float = 1.0,
        stem_stride: Sequence[int] = (1, 2, 2),
        dropout: float = 0.0,
    ) -> None:
        if unknown := set(convs) - {"3d", "2d", "2+1d"}:
            raise ValueError(f"convs are 3d, 2d or 2+1d, not {', '.join(map(repr, sorted(unknown)))}")
        first = max(1, round(64 * width))
        channels = [first, *(first * 2**stage for stage in range(len(depths)))]
        super().__init__(spec, channels[-1], num_classes, dropout)
        time, height, width_stride = stem_stride
        if convs[0] == "2+1d":
            middle = max(1, round(first * _STEM_MIDDLE))
            stem = _factored(spec.num_channels, middle, first, 7, stem_stride)
        else:
            strides = (time, height, width_stride)
            stem = [nn.Conv3d(spec.num_channels, first, (3, 7, 7), strides, (1, 3, 3), bias=False)]
        self.stem = nn.Sequential(*stem, nn.BatchNorm3d(first), nn.ReLU(inplace=True))
        for number, (kind, depth, (inputs, outputs)) in enumerate(
            zip(convs, depths, pairwise(channels), strict=True), start=1
        ):
            blocks = [Block(kind, inputs, outputs, 1 if number == 1 else 2)]
            blocks += [Block(kind, outputs, outputs, 1) for _ in range(depth - 1)]
            self.add_module(f"stage{number}", nn.Sequential(*blocks))
        self.pool = nn.AdaptiveAvgPool3d(1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv3d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
        """The average of the last stage over space and time."""
        return self.pool(self._last(clip)).flatten(1)

    def maps(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f y x"]:
        """The average of the last stage over time."""
        return self._last(clip).mean(2)

    def _last(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f s y x"]:
        x = fastest_layout(clip)
        for _, stage in self.stages():
            x = stage(x)
        return x

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Stem and the residual stages."""
        return [(name, part) for name, part in self.named_children() if name.startswith(("stem", "stage"))]


FROM_TORCHVISION: tuple[tuple[str, str], ...] = (
    (r"fc\.", "classifier."),
    (r"layer(\d)\.", r"stage\1."),
    (r"(stage\d\.\d+)\.downsample\.", r"\1.shortcut."),
)
"""Names of torchvision's r3d_18, mc3_18, r2plus1d_18."""

_PAPER = "Tran et al. 2018, A Closer Look at Spatiotemporal Convolutions for Action Recognition"
_MEAN, _STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
INPUT = InputSpec(clip_len=16, fps=15.0, size=(112, 112), squeezed=(128, 171), mean=_MEAN, std=_STD)
SMALL_INPUT = InputSpec(clip_len=16, size=(96, 96), sampling="spread")
_SMALL: dict[str, object] = {"depths": (1, 1, 1), "width": 0.375, "stem_stride": (2, 4, 4), "dropout": 0.2}

VARIANTS: dict[str, Variant] = {
    "r3d_18": Variant(ResNet3d, {"convs": ("3d",) * 4}, INPUT, _PAPER, note="3-D filters everywhere"),
    "mc3_18": Variant(ResNet3d, {"convs": ("3d", "2d", "2d", "2d")}, INPUT, _PAPER, note="3-D filters at the start"),
    "r2plus1d_18": Variant(ResNet3d, {"convs": ("2+1d",) * 4}, INPUT, _PAPER, note="space, then time"),
    "r3d_small": Variant(ResNet3d, {"convs": ("3d",) * 3, **_SMALL}, SMALL_INPUT, _PAPER, note="for a CPU"),
    "r2plus1d_small": Variant(ResNet3d, {"convs": ("2+1d",) * 3, **_SMALL}, SMALL_INPUT, _PAPER, note="for a CPU"),
}
