"""X3D: a small 2-D network expanded along time, space, width and depth, for few multiplications (Feichtenhofer 2020).

Each block has a depthwise 3x3x3 convolution between two 1x1x1 convolutions, and every other block squeeze-and-excitation.
No layer before the last average reduces time. XS, S and M are one network with different inputs; L has more layers.
"""

from __future__ import annotations

import math
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from kinema.models.layers.depthwise import DepthwiseConv3d
from kinema.models.network import SpatialNetwork, fastest_layout, init_he
from kinema.models.resnet_bottleneck3d import WindowedMean, kinetics_input
from kinema.models.variant import Variant
from kinema.types import InputSpec

STEM, STAGES = 12, ((12, 1), (24, 2), (48, 5), (96, 3))  # channels and blocks before any expansion
SQUEEZE = 1 / 16


def round_width(channels: float) -> int:
    """The nearest multiple of 8, at least 8, and at least 0.9 times `channels`."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation: scale each channel by a function of all channel means (Hu et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = round_width(channels * SQUEEZE)
        self.pool = nn.AdaptiveAvgPool3d(1)
        self.reduce = nn.Conv3d(channels, inner, 1)
        self.relu = nn.ReLU(inplace=True)
        self.expand = nn.Conv3d(inner, channels, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c t h w"]:
        """Each channel times a number between 0 and 1."""
        return x * self.sigmoid(self.expand(self.relu(self.reduce(self.pool(x)))))


class ExpandedBlock(nn.Module):
    """1x1x1 to more channels, depthwise 3x3x3, 1x1x1 back, with a shortcut.

    Args:
        inputs: channels in.
        inner: channels of the depthwise convolution.
        outputs: channels out.
        stride: over space.
        squeeze: squeeze-and-excitation of the inner channels.
    """

    def __init__(self, inputs: int, inner: int, outputs: int, stride: int, squeeze: bool) -> None:
        super().__init__()
        self.conv_a = nn.Conv3d(inputs, inner, 1, bias=False)
        self.norm_a = nn.BatchNorm3d(inner)
        self.conv_b = DepthwiseConv3d(inner, stride)
        self.norm_b = nn.BatchNorm3d(inner)
        self.squeeze: nn.Module = SqueezeExcite(inner) if squeeze else nn.Identity()
        self.swish = nn.SiLU(inplace=True)
        self.conv_c = nn.Conv3d(inner, outputs, 1, bias=False)
        self.norm_c = nn.BatchNorm3d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride > 1:
            shrink = nn.Conv3d(inputs, outputs, 1, (1, stride, stride), bias=False)
            # published without a norm if the number of channels stays
            self.shortcut = nn.Sequential(shrink, nn.BatchNorm3d(outputs) if inputs != outputs else nn.Identity())

    def forward(self, x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b d t y x"]:
        """ReLU of the sum of branch and shortcut."""
        out = self.relu(self.norm_a(self.conv_a(x)))
        out = self.swish(self.squeeze(self.norm_b(self.conv_b(out))))
        return self.relu(self.norm_c(self.conv_c(out)) + self.shortcut(x))


class X3D(SpatialNetwork):
    """A network of expanded blocks.

    Args:
        spec: the input.
        num_classes: length of the logits.
        width: factor on the channels of the smallest network.
        depth: factor on its number of blocks.
        expansion: inner channels of a block per output channel.
        head_dim: length of the features.
        window: height and width over which the head averages before its last layers: the map of a training clip. On
            larger maps the window slides.
        dropout: before the classifier.
    """

    def __init__(
        self,
        spec: InputSpec,
        num_classes: int,
        width: float = 2.0,
        depth: float = 2.2,
        expansion: float = 2.25,
        head_dim: int = 2048,
        window: int = 7,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(spec, head_dim, num_classes, dropout)
        channels = [round_width(c * width) for c in (STEM, *(c for c, _ in STAGES))]
        first = channels[0]
        space = nn.Conv3d(spec.num_channels, first, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False)
        time = nn.Conv3d(first, first, (5, 1, 1), 1, (2, 0, 0), groups=first, bias=False)
        self.stem = nn.Sequential(space, time, nn.BatchNorm3d(first), nn.ReLU(inplace=True))
        self.blocks = nn.ModuleList()
        for (inputs, outputs), (_, count) in zip(pairwise(channels), STAGES, strict=True):
            inner = int(expansion * outputs)
            blocks = [ExpandedBlock(inputs, inner, outputs, 2, squeeze=True)]
            for place in range(1, math.ceil(count * depth)):
                blocks.append(ExpandedBlock(outputs, inner, outputs, 1, squeeze=place % 2 == 0))
            self.blocks.append(nn.Sequential(*blocks))
        inner = int(expansion * channels[-1])
        conv = nn.Conv3d(channels[-1], inner, 1, bias=False)
        self.conv5 = nn.Sequential(conv, nn.BatchNorm3d(inner), nn.ReLU(inplace=True))
        self.pool = WindowedMean(window)
        self.project = nn.Sequential(nn.Conv3d(inner, head_dim, 1, bias=False), nn.ReLU(inplace=True))
        init_he(nn.ModuleList([self.stem, self.blocks, self.conv5, self.project]))
        for block in self.blocks.modules():
            if isinstance(block, ExpandedBlock):
                nn.init.zeros_(block.norm_c.weight)

    def features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
        """Output of the head for each window, averaged."""
        return self.project(self.pool(self._last(clip))).mean((2, 3, 4))

    def maps(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f y x"]:
        """Output of the head for each place, without its window over space."""
        return self.project(self._last(clip).mean(2, keepdim=True)).squeeze(2)

    def _last(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b d t y x"]:
        x = self.stem(fastest_layout(clip))
        for stage in self.blocks:
            x = stage(x)
        return self.conv5(x)

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Stem, residual stages, and the two layers around the average."""
        stages = ((f"res{i + 2}", stage) for i, stage in enumerate(self.blocks))
        return [("stem", self.stem), *stages, ("conv5", self.conv5), ("project", self.project)]


FROM_PYTORCHVIDEO = (
    (r"blocks\.0\.conv\.conv_t\.", "stem.0."),  # conv_t is the spatial filter there, conv_xy that over time
    (r"blocks\.0\.conv\.conv_xy\.", "stem.1."),
    (r"blocks\.0\.norm\.", "stem.2."),
    (r"blocks\.5\.pool\.pre_conv\.", "conv5.0."),
    (r"blocks\.5\.pool\.pre_norm\.", "conv5.1."),
    (r"blocks\.5\.pool\.post_conv\.", "project.0."),
    (r"blocks\.5\.proj\.", "classifier."),
    *((rf"blocks\.{stage + 1}\.res_blocks\.", f"blocks.{stage}.") for stage in range(4)),
    (r"(.*)\.branch1_conv\.", r"\1.shortcut.0."),
    (r"(.*)\.branch1_norm\.", r"\1.shortcut.1."),
    (r"(.*)\.branch2\.", r"\1."),
    (r"(.*)\.norm_b\.0\.", r"\1.norm_b."),
    (r"(.*)\.norm_b\.1\.block\.0\.", r"\1.squeeze.reduce."),
    (r"(.*)\.norm_b\.1\.block\.2\.", r"\1.squeeze.expand."),
)


def _variant(input: InputSpec, note: str, **arguments: int | float) -> Variant:
    return Variant(builder=X3D, arguments=arguments, input=input, paper="Feichtenhofer 2020", note=note)


VARIANTS: dict[str, Variant] = {
    "x3d_xs": _variant(kinetics_input(4, 12, 182), "extra small: 4 frames", window=5),
    "x3d_s": _variant(kinetics_input(13, 6, 182), "small: 13 frames", window=5),
    "x3d_m": _variant(kinetics_input(16, 5, 256), "medium: 16 frames", window=7),
    "x3d_l": _variant(kinetics_input(16, 5, 356), "large: 16 frames, more layers", window=10, depth=5.0),
}
