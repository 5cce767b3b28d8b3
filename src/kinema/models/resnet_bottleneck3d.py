"""Bottleneck residual networks over clips: C2D, I3D, Slow and R(2+1)D with 50 layers, as PyTorchVideo publishes them.

One trunk (He et al. 2016), four ways to join frames. C2D joins them in one pooling and in the last average. I3D has
filters of 3 frames in every other block, in the first convolution of the bottleneck (3x1x1; Wang et al. 2018). Slow has
them in every block of the last two stages and does not reduce time (the slow pathway of Feichtenhofer et al. 2019
alone). R(2+1)D splits each 3x3x3 into a filter over time and one over space (Tran et al. 2018).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.models.network import SpatialNetwork, fastest_layout, init_he
from kinema.models.variant import Variant
from kinema.types import InputSpec

EXPANSION = 4  # output channels of a bottleneck for one of its inner channels
HEAD_WINDOW = 7  # height and width over which the published heads average: the whole map of a 224 x 224 clip


class Bottleneck(nn.Module):
    """1x1x1, 1x3x3, 1x1x1 convolutions with a shortcut; the first or the second can have a filter over time.

    Args:
        inputs: channels in.
        outputs: channels out; a quarter of them inside.
        time: filter length over time of the first convolution.
        strides: over time and over space.
        factorized: the second convolution is a filter of 3 over time, then one of 3 x 3 over space.
    """

    def __init__(
        self, inputs: int, outputs: int, time: int = 1, strides: Sequence[int] = (1, 1), factorized: bool = False
    ) -> None:
        super().__init__()
        inner, (stride_t, stride) = outputs // EXPANSION, strides
        first = 1 if factorized else stride_t
        self.conv_a = nn.Conv3d(inputs, inner, (time, 1, 1), (first, 1, 1), (time // 2, 0, 0), bias=False)
        self.norm_a = nn.BatchNorm3d(inner)
        space = nn.Conv3d(inner, inner, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False)
        self.conv_b: nn.Module = _after_time(inner, stride_t, space) if factorized else space
        self.norm_b = nn.BatchNorm3d(inner)
        self.conv_c = nn.Conv3d(inner, outputs, 1, bias=False)
        self.norm_c = nn.BatchNorm3d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride_t * stride > 1:
            shrink = nn.Conv3d(inputs, outputs, 1, (stride_t, stride, stride), bias=False)
            self.shortcut = nn.Sequential(shrink, nn.BatchNorm3d(outputs))

    def forward(self, x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b d s y x"]:
        """ReLU of the sum of branch and shortcut."""
        out = self.relu(self.norm_a(self.conv_a(x)))
        out = self.relu(self.norm_b(self.conv_b(out)))
        return self.relu(self.norm_c(self.conv_c(out)) + self.shortcut(x))


def _after_time(channels: int, stride: int, space: nn.Module) -> nn.Sequential:
    time = nn.Conv3d(channels, channels, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False)
    norm = nn.BatchNorm3d(channels)
    return nn.Sequential(OrderedDict(time=time, norm=norm, relu=nn.ReLU(inplace=True), space=space))


def bottleneck_stage(
    inputs: int, outputs: int, times: Sequence[int], strides: Sequence[int], factorized: bool = False
) -> nn.Sequential:
    """Bottlenecks, one for each filter length in `times`; the first one has the strides (time, space)."""
    blocks = [Bottleneck(inputs, outputs, times[0], strides, factorized)]
    blocks += [Bottleneck(outputs, outputs, time, factorized=factorized) for time in times[1:]]
    return nn.Sequential(*blocks)


def resnet_stem(channels: int, width: int, time: Sequence[int] = (1, 1), pool_t: int = 1) -> nn.Sequential:
    """7 x 7 filters of stride 2 and a 3 x 3 max pooling of stride 2.

    Args:
        channels: of the clip.
        width: channels out.
        time: filter length and stride over time.
        pool_t: stride over time of the pooling; 0 leaves the pooling out.
    """
    length, stride = time
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv3d(channels, width, (length, 7, 7), (stride, 2, 2), (length // 2, 3, 3), bias=False),
        norm=nn.BatchNorm3d(width),
        relu=nn.ReLU(inplace=True),
    )
    if pool_t:
        layers["pool"] = nn.MaxPool3d((2 * pool_t - 1, 3, 3), (pool_t, 2, 2), (pool_t - 1, 1, 1))
    return nn.Sequential(layers)


class WindowedMean(nn.Module):
    """Means over all of time and a window over space that slides by one; at most the size of the map.

    Published heads were trained on maps as large as the window, and slide it over the larger maps of test clips.
    """

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window

    def forward(self, x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c 1 y x"]:
        """One mean for each position of the window."""
        t, h, w = x.shape[2:]
        return F.avg_pool3d(x, (t, min(h, self.window), min(w, self.window)), stride=1)

    def extra_repr(self) -> str:
        """Settings, for the printed network."""
        return f"window={self.window}"


def dilate(stage: nn.Module) -> None:
    """Undo a stage's stride over space; its 3 x 3 filters then take every other place, and so see as much as before."""
    for conv in stage.modules():
        if isinstance(conv, nn.Conv3d):
            conv.stride = (conv.stride[0], 1, 1)
            if conv.kernel_size == (1, 3, 3):
                conv.dilation, conv.padding = (1, 2, 2), (0, 2, 2)


def quiet_last_norms(module: nn.Module) -> None:
    """Initialise each bottleneck as its shortcut (Goyal et al. 2017), so that deep networks learn faster."""
    for block in module.modules():
        if isinstance(block, Bottleneck):
            nn.init.zeros_(block.norm_c.weight)


class BottleneckResNet3d(SpatialNetwork):
    """A residual network of bottlenecks over a clip.

    Args:
        spec: the input.
        num_classes: length of the logits.
        width: channels of the stem.
        times: of each stage, the filter length over time of each block's first convolution; one entry a block.
        stem_time: filter length and stride over time of the stem.
        pools: strides over time of the max poolings after the stem and after the first stage (1: not over time). 0 for
            the first leaves it out, and the first stage halves space instead.
        factorized: for each stage its stride over time, with every 3x3 convolution split into one over time and one over
            space; None for plain convolutions without such strides.
        dilated: the last stage keeps its resolution; its 3 x 3 filters take every other place.
        dropout: before the classifier.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # what the variants differ in
        self,
        spec: InputSpec,
        num_classes: int,
        width: int = 64,
        times: Sequence[Sequence[int]] = ((1,) * 3, (1,) * 4, (3,) * 6, (3,) * 3),
        stem_time: Sequence[int] = (1, 1),
        pools: Sequence[int] = (1, 1),
        factorized: Sequence[int] | None = None,
        dilated: bool = False,
        dropout: float = 0.5,
    ) -> None:
        shortest = stem_time[1] * (pools[0] or 1) * (pools[1] - 1) + 1
        if spec.clip_len < shortest:
            raise ValueError(f"its poolings leave nothing of {spec.clip_len} frames; it needs at least {shortest}")
        channels = [width, *(width * EXPANSION * 2**stage for stage in range(len(times)))]
        super().__init__(spec, channels[-1], num_classes, dropout)
        pool_t, self.pool_t = pools
        self.stem = resnet_stem(spec.num_channels, width, stem_time, pool_t)
        strides_t = factorized or [1] * len(times)
        self.blocks = nn.ModuleList(
            bottleneck_stage(inputs, outputs, lengths, (stride_t, 2 if stage or not pool_t else 1), bool(factorized))
            for stage, ((inputs, outputs), lengths, stride_t) in enumerate(
                zip(pairwise(channels), times, strides_t, strict=True)
            )
        )
        if dilated:
            dilate(self.blocks[-1])
        self.pool_time: nn.Module = nn.Identity()
        if self.pool_t > 1:
            self.pool_time = nn.MaxPool3d((self.pool_t, 1, 1))
        self.pool = WindowedMean(HEAD_WINDOW)
        init_he(nn.ModuleList([self.stem, self.blocks]))
        quiet_last_norms(self.blocks)

    def features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
        """Averages over time and windows of places."""
        return self.pool(self._last(clip)).mean((2, 3, 4))

    def maps(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f y x"]:
        """The average of the last stage over time."""
        return self._last(clip).mean(2)

    def _last(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f s y x"]:
        x = self.stem(fastest_layout(clip))
        for stage, block in enumerate(self.blocks):
            x = block(x)
            x = self.pool_time(x) if stage == 0 else x
        return x

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Stem and residual stages, named from res2 on as in the papers."""
        return [("stem", self.stem), *((f"res{i + 2}", stage) for i, stage in enumerate(self.blocks))]


FROM_PYTORCHVIDEO_BLOCK = (
    (r"(.*)\.branch1_conv\.", r"\1.shortcut.0."),
    (r"(.*)\.branch1_norm\.", r"\1.shortcut.1."),
    (r"(.*)\.branch2\.", r"\1."),
    (r"(.*)\.conv_b\.conv_t\.", r"\1.conv_b.time."),
    (r"(.*)\.conv_b\.conv_xy\.", r"\1.conv_b.space."),
)
"""Renames inside a bottleneck, for all networks that hold some."""


def _renames(numbers: Sequence[int]) -> tuple[tuple[str, str], ...]:
    """PyTorchVideo numbers the stem, stages and poolings as blocks; `numbers` are those of the four stages."""
    stages = ((rf"blocks\.{theirs}\.res_blocks\.", f"blocks.{own}.") for own, theirs in enumerate(numbers))
    return ((r"blocks\.0\.", "stem."), (r"blocks\.\d+\.proj\.", "classifier."), *stages, *FROM_PYTORCHVIDEO_BLOCK)


FROM_PYTORCHVIDEO = _renames((1, 2, 3, 4))
"""Renames for `slow_r50` and `r2plus1d_r50`."""

FROM_PYTORCHVIDEO_POOLED = _renames((1, 3, 4, 5))
"""Renames for `c2d_r50` and `i3d_r50`, in which a pooling is a block too."""


def kinetics_input(clip_len: int, frame_stride: int, size: int) -> InputSpec:
    """The input of PyTorchVideo's networks: evenly spaced at 30 frames a second, mean 0.45 and deviation 0.225."""
    grey, spread = (0.45,) * 3, (0.225,) * 3
    return InputSpec(clip_len, frame_stride, (size, size), mean=grey, std=spread, fps=30.0, spacing="even")


I3D_TIMES = ((3, 3, 3), (3, 1, 3, 1), (3, 1, 3, 1, 3, 1), (1, 3, 1))
_INPUT = kinetics_input(8, 8, 256)
_NO_TIMES = ((1,) * 3, (1,) * 4, (1,) * 6, (1,) * 3)
_C2D = {"times": _NO_TIMES, "pools": (1, 2)}
_I3D = {"times": I3D_TIMES, "stem_time": (5, 1), "pools": (1, 2)}
_WANG = "Wang et al. 2018"
_I3D_PAPER = f"Carreira & Zisserman 2017, {_WANG}"
_R2PLUS1D = {"times": _NO_TIMES, "pools": (0, 1), "factorized": (1, 1, 2, 2)}
_R2PLUS1D_NOTE = "each 3x3x3 is one filter over time and one over space"

VARIANTS: dict[str, Variant] = {
    "slow_r50": Variant(BottleneckResNet3d, {}, _INPUT, "Feichtenhofer et al. 2019", note="the slow pathway alone"),
    "c2d_r50": Variant(
        BottleneckResNet3d, _C2D, _INPUT, _WANG, note="2-D filters, frames meet in a pooling and the average"
    ),
    "i3d_r50": Variant(BottleneckResNet3d, _I3D, _INPUT, _I3D_PAPER, note="filters over time in every other block"),
    "r2plus1d_r50": Variant(
        BottleneckResNet3d, _R2PLUS1D, kinetics_input(16, 4, 256), "Tran et al. 2018", note=_R2PLUS1D_NOTE
    ),
}
