"""SlowFast: a pathway with few frames and many channels, and one with many frames and few channels.

From a clip of T frames the slow pathway takes every alpha-th frame; the fast one takes all, with beta times the channels,
and so has about a fifth of the total cost for alpha times the frames. After the stem and each stage but the last, a
lateral convolution of stride alpha passes features of the fast pathway to the slow one. The fast pathway has filters over
time in all blocks, the slow one in its last two stages only. The input is one clip; the pathways are split inside.
Feichtenhofer et al. 2019.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kinema.models.network import SpatialNetwork, fastest_layout, init_he
from kinema.models.resnet_bottleneck3d import (
    EXPANSION,
    FROM_PYTORCHVIDEO_BLOCK,
    HEAD_WINDOW,
    WindowedMean,
    bottleneck_stage,
    dilate,
    kinetics_input,
    quiet_last_norms,
    resnet_stem,
)
from kinema.models.small import Block
from kinema.models.variant import Variant
from kinema.types import InputSpec


def slow_frames(clip_len: int, alpha: int) -> list[int]:
    """Indices of the slow pathway's frames: one in alpha, spread evenly from the first to the last.

    >>> slow_frames(32, alpha=4)
    [0, 4, 8, 13, 17, 22, 26, 31]
    """
    count = -(-clip_len // alpha)
    return [place * (clip_len - 1) // max(count - 1, 1) for place in range(count)]


class Pathways(nn.Module):
    """One stage of both pathways, and the lateral connection after it.

    Args:
        slow: layers of the slow pathway.
        fast: layers of the fast pathway.
        lateral: from the fast pathway to additional channels of the slow one; None for no connection.
    """

    def __init__(self, slow: nn.Module, fast: nn.Module, lateral: nn.Module | None) -> None:
        super().__init__()
        self.slow, self.fast, self.lateral = slow, fast, lateral

    def forward(
        self, slow: Float[Tensor, "b c s h w"], fast: Float[Tensor, "b d t h w"]
    ) -> tuple[Float[Tensor, "b e s y x"], Float[Tensor, "b f t y x"]]:
        """Both pathways; the lateral channels come after those of the slow one."""
        slow, fast = self.slow(slow), self.fast(fast)
        return (slow if self.lateral is None else torch.cat([slow, self.lateral(fast)], 1)), fast


class SlowFast(SpatialNetwork):
    """Two pathways of bottlenecks with lateral connections.

    Args:
        spec: the input, which is that of the fast pathway.
        num_classes: length of the logits.
        width: channels of the slow pathway's stem.
        times: for the slow and for the fast pathway, the filter length over time of each block of each stage. Both have
            the same number of stages; the number of entries is the depth of a stage.
        alpha: frames of the fast pathway for one of the slow.
        beta: channels of the fast pathway for one of the slow.
        lateral: filter length over time of the lateral convolutions; their output channels per fast channel.
        dilated: the last stage keeps its resolution; its 3 x 3 filters take every other place.
        dropout: before the classifier.
    """

    expansion = EXPANSION

    def __init__(  # noqa: PLR0913, PLR0917  # what the variants differ in
        self,
        spec: InputSpec,
        num_classes: int,
        width: int = 64,
        times: Sequence[Sequence[Sequence[int]]] = (
            ((1,) * 3, (1,) * 4, (3,) * 6, (3,) * 3),
            ((3,) * 3, (3,) * 4, (3,) * 6, (3,) * 3),
        ),
        alpha: int = 4,
        beta: float = 1 / 8,
        lateral: Sequence[int] = (7, 2),
        dilated: bool = False,
        dropout: float = 0.5,
    ) -> None:
        slow = [width, *(width * self.expansion * 2**stage for stage in range(len(times[0])))]
        fast = [int(channels * beta) for channels in slow]
        if not fast[0] or alpha < 1 or lateral[0] % 2 == 0:
            raise ValueError(f"need channels for the fast pathway, alpha > 0 and odd filters: {beta=}, {lateral=}")
        super().__init__(spec, slow[-1] + fast[-1], num_classes, dropout)
        self.alpha, ratio = alpha, lateral[1]
        stems = (self.build_stem(spec.num_channels, slow[0], 1), self.build_stem(spec.num_channels, fast[0], 5))
        self.stem = Pathways(*stems, _lateral(fast[0], alpha, lateral))
        self.blocks = nn.ModuleList(
            Pathways(
                self.build_stage(slow_in + ratio * fast_in, slow_out, slow_times, 2 if stage else 1),
                self.build_stage(fast_in, fast_out, fast_times, 2 if stage else 1),
                _lateral(fast_out, alpha, lateral) if stage + 1 < len(times[0]) else None,
            )
            for stage, ((slow_in, slow_out), (fast_in, fast_out), slow_times, fast_times) in enumerate(
                zip(pairwise(slow), pairwise(fast), *times, strict=True)
            )
        )
        if dilated:
            dilate(self.blocks[-1])
        self.pool = WindowedMean(HEAD_WINDOW)
        init_he(nn.ModuleList([self.stem, self.blocks]))
        quiet_last_norms(self.blocks)

    def build_stem(self, channels: int, width: int, time: int) -> nn.Module:
        """The first layers of a pathway, with filters of `time` frames."""
        return resnet_stem(channels, width, (time, 1))

    def build_stage(self, inputs: int, outputs: int, times: Sequence[int], stride: int) -> nn.Sequential:
        """A stage of a pathway; `stride` is over space."""
        return bottleneck_stage(inputs, outputs, times, (1, stride))

    def features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
        """Averages of the slow pathway, then those of the fast one."""
        return torch.cat([self.pool(x).mean((2, 3, 4)) for x in self._last(clip)], 1)

    def maps(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f y x"]:
        """Averages of both pathways over time."""
        return torch.cat([x.mean(2) for x in self._last(clip)], 1)

    def _last(self, clip: Float[Tensor, "b c t h w"]) -> tuple[Tensor, Tensor]:
        fast = fastest_layout(clip)
        seen = torch.tensor(slow_frames(clip.shape[2], self.alpha), device=clip.device)
        slow = fast.index_select(2, seen)
        for stage in (self.stem, *self.blocks):
            slow, fast = stage(slow, fast)
        return slow, fast

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Stem and residual stages of both pathways, named from res2 on as in the paper."""
        return [("stem", self.stem), *((f"res{i + 2}", stage) for i, stage in enumerate(self.blocks))]


class CompactSlowFast(SlowFast):
    """SlowFast for a CPU: a stem that reduces space by 4, and blocks of two 3 x 3 convolutions as in `slow_fusion_small`.

    Arguments are those of `SlowFast`; an entry of `times` is the length of the filter over time between a block's two
    convolutions, 1 for none.
    """

    expansion = 1

    def build_stem(self, channels: int, width: int, time: int) -> nn.Module:
        """7 x 7 filters of stride 4."""
        conv = nn.Conv3d(channels, width, (time, 7, 7), (1, 4, 4), (time // 2, 3, 3), bias=False)
        return nn.Sequential(conv, nn.BatchNorm3d(width), nn.ReLU(inplace=True))

    def build_stage(self, inputs: int, outputs: int, times: Sequence[int], stride: int) -> nn.Sequential:
        """Blocks with a shortcut, the first with the stride."""
        places = enumerate(times)
        return nn.Sequential(
            *(Block(outputs if place else inputs, outputs, 1 if place else stride, (time, 1)) for place, time in places)
        )


def _lateral(channels: int, alpha: int, lateral: Sequence[int]) -> nn.Sequential:
    length, ratio = lateral
    outputs = channels * ratio
    conv = nn.Conv3d(channels, outputs, (length, 1, 1), (alpha, 1, 1), (length // 2, 0, 0), bias=False)
    layers = OrderedDict[str, nn.Module](conv=conv, norm=nn.BatchNorm3d(outputs), relu=nn.ReLU(inplace=True))
    return nn.Sequential(layers)


FROM_PYTORCHVIDEO = (
    (r"blocks\.\d+\.proj\.", "classifier."),
    (r"(blocks\.\d+)\.multipathway_blocks\.0\.", r"\1.slow."),
    (r"(blocks\.\d+)\.multipathway_blocks\.1\.", r"\1.fast."),
    (r"(blocks\.\d+)\.multipathway_fusion\.conv_fast_to_slow\.", r"\1.lateral.conv."),
    (r"(blocks\.\d+)\.multipathway_fusion\.", r"\1.lateral."),
    (r"(blocks\.\d+\.\w+)\.res_blocks\.", r"\1."),
    (r"blocks\.0\.", "stem."),
    *((rf"blocks\.{stage + 1}\.", f"blocks.{stage}.") for stage in range(4)),
    *FROM_PYTORCHVIDEO_BLOCK,
)
"""Renames for all variants but `slowfast_small`."""

_PAPER = "Feichtenhofer et al. 2019"
_R101 = (((1,) * 3, (1,) * 4, (3,) * 23, (3,) * 3), ((3,) * 3, (3,) * 4, (3,) * 23, (3,) * 3))
_SOME = (3,) * 6 + (1,) * 17  # in the long stage, only the first blocks have filters over time
_R101_SOME = (((1,) * 3, (1,) * 4, _SOME, (3,) * 3), ((3,) * 3, (3,) * 4, _SOME, (3,) * 3))
_SMALL_TIMES = (((1,), (1,), (3,)), ((3,), (3,), (3,)))
_SMALL = {"width": 32, "times": _SMALL_TIMES, "beta": 1 / 4, "lateral": (5, 2), "dropout": 0.2}
_SMALL_INPUT = InputSpec(clip_len=16, size=(96, 96), sampling="spread")


def _variant(clip_len: int, note: str, **arguments: object) -> Variant:
    return Variant(SlowFast, arguments, kinetics_input(clip_len, 2, 256), _PAPER, note=note)


VARIANTS: dict[str, Variant] = {
    "slowfast_r50": _variant(32, "8x8: 8 slow and 32 fast frames"),
    "slowfast_r50_4x16": _variant(32, "4 slow and 32 fast frames", alpha=8, lateral=(5, 2)),
    "slowfast_r101": _variant(32, "8x8, 101 layers", times=_R101, lateral=(5, 2)),
    "slowfast_16x8_r101_50_50": _variant(64, "16 slow and 64 fast frames", times=_R101_SOME, lateral=(5, 2)),
    "slowfast_small": Variant(CompactSlowFast, _SMALL, _SMALL_INPUT, _PAPER, note="for a CPU"),
}
