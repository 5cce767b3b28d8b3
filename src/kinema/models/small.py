"""Compact residual networks for a CPU: one spatial trunk, four ways to use time.

A stem of 7 x 7 filters reduces each frame by 4, three stages of residual blocks with batch norm (He et al. 2016) halve
it twice more, followed by an average over space. Single frame, early, late and slow fusion (Karpathy et al. 2014) differ
only in where frames are joined, so that they can be compared. Slow fusion puts a filter over time between the two
spatial ones of each block, the "(2+1)D" factorisation of Tran et al. (2018), and halves time together with space, which
keeps it fast. On a CPU a stem of stride 4 costs less than half of one of stride 2, and 1 x 3 x 3 with 3 x 1 x 1 filters
about two thirds of 3 x 3 x 3.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Literal, get_args

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from kinema.models.network import FrameParts, SpatialNetwork, fastest_layout, filters_see_time, init_he
from kinema.models.variant import Variant
from kinema.types import InputSpec

TimeStep = tuple[int, int]  # filter length over time, stride over time
Pool = Literal["mean", "max"]


class Largest(nn.Module):
    """The largest value of each channel over time and space."""

    def forward(self, x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c 1 1 1"]:
        """One value a channel."""
        return x.amax(dim=(2, 3, 4), keepdim=True)


class Block(nn.Module):
    """Two 3 x 3 convolutions, a filter over time between them if `time` is not (1, 1), and a shortcut around them."""

    def __init__(self, inputs: int, outputs: int, stride: int, time: TimeStep = (1, 1)) -> None:
        super().__init__()
        length, time_stride = time
        self.conv1 = nn.Conv3d(inputs, outputs, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False)
        self.norm1 = nn.BatchNorm3d(outputs)
        if length > 1 or time_stride > 1:
            conv = nn.Conv3d(outputs, outputs, (length, 1, 1), (time_stride, 1, 1), (length // 2, 0, 0), bias=False)
            self.conv_time: nn.Module = nn.Sequential(conv, nn.BatchNorm3d(outputs), nn.ReLU(inplace=True))
        else:
            self.conv_time = nn.Identity()
        self.conv2 = nn.Conv3d(outputs, outputs, (1, 3, 3), 1, (0, 1, 1), bias=False)
        self.norm2 = nn.BatchNorm3d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride > 1 or time_stride > 1:
            shrink = nn.Conv3d(inputs, outputs, 1, (time_stride, stride, stride), bias=False)
            self.shortcut = nn.Sequential(shrink, nn.BatchNorm3d(outputs))

    def forward(self, x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b d s y x"]:
        """ReLU of the sum of branch and shortcut."""
        out = self.conv_time(self.relu(self.norm1(self.conv1(x))))
        return self.relu(self.norm2(self.conv2(out)) + self.shortcut(x))


class SmallFusion(SpatialNetwork):
    """A compact residual network over a clip.

    Args:
        spec: the input; early fusion's first filters and late fusion's first linear layer fit its `clip_len`.
        num_classes: length of the logits.
        width: channels of the stem and of the first stage; each further stage doubles them.
        depths: blocks of each stage.
        stem_time: length and stride of the stem's filters over time; length 0: the whole clip at once (early fusion).
        times: the same for the blocks of each stage; the stride belongs to the stage's first block.
        joined: units and grid of late fusion's joining layer: it gets the features of grid x grid positions of all frames,
            in order, so that it can compare positions between frames. None averages features over space and time.
        join_norm: layer norm (Ba et al. 2016) before the rectifier of the joining layer. Without it, all of its units can
            become negative for every clip, after which the network learns nothing more.
        dropout: before the classifier.
        pool: "mean" or "max" of the features over space and time. The maximum keeps small and short events, such as a hand
            that moves for a few frames, which a mean over everything hides; it learns more slowly at first.

    Raises:
        ValueError: another pooling, or the maximum with `joined`.
    """

    def __init__(  # noqa: PLR0913  # what the variants differ in
        self,
        spec: InputSpec,
        num_classes: int,
        width: int = 32,
        depths: Sequence[int] = (1, 1, 1),
        stem_time: TimeStep = (1, 1),
        times: Sequence[TimeStep] = (),
        joined: tuple[int, int] | None = None,
        *,
        join_norm: bool = True,
        dropout: float = 0.2,
        pool: Pool = "mean",
    ) -> None:
        if pool not in get_args(Pool) or (joined and pool != "mean"):
            known = get_args(Pool)
            raise ValueError(f"features are pooled by {known}, joined ones by the mean; got {pool=}, {joined=}")
        channels = [width, *(width * 2**stage for stage in range(len(depths)))]
        units, grid = joined or (0, 1)
        super().__init__(spec, units or channels[-1], num_classes, dropout)
        self.stem = _stem(spec, width, stem_time)
        self.blocks = nn.ModuleList()
        times = times or [(1, 1)] * len(depths)
        for (inputs, outputs), depth, time in zip(pairwise(channels), depths, times, strict=True):
            blocks = [Block(inputs, outputs, 2 if len(self.blocks) else 1, time)]
            blocks += [Block(outputs, outputs, 1, (time[0], 1)) for _ in range(depth - 1)]
            self.blocks.append(nn.Sequential(*blocks))
        inputs = channels[-1] * grid**2 * spec.clip_len
        self.join = _joining(inputs, units, join_norm) if units else None
        self.num_head_stages = 1 if units else 0
        self.pool = Largest() if pool == "max" else nn.AdaptiveAvgPool3d((None, grid, grid) if units else 1)
        init_he(nn.ModuleList([self.stem, self.blocks]))

    def features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
        """Pooled, and for late fusion joined, features."""
        x = self._pooled(clip).flatten(1)
        return x if self.join is None else self.join(x)

    def frame_parts(self) -> FrameParts | None:
        """The two steps of single frames, of late fusion, and of a mean or maximum over time (TSN)."""
        if type(self) is not SmallFusion or filters_see_time(self):  # subclasses mix frames in other ways
            return None

        def join(encoded: Float[Tensor, "b t f"]) -> Float[Tensor, "b g"]:
            if self.join is None:
                return encoded.amax(dim=1) if isinstance(self.pool, Largest) else encoded.mean(dim=1)
            channels = self.blocks[-1][-1].conv2.out_channels  # type: ignore[index]
            return self.join(rearrange(encoded, "b t (c p) -> b (c t p)", c=channels))

        return FrameParts(lambda frames: self._pooled(frames).flatten(1), join)

    def maps(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f y x"]:
        """The average of the last stage over time.

        Raises:
            ValueError: the network joins frames after its average over space.
        """
        if self.join is not None:
            raise ValueError("this network joins frames after its last stage, so it has no features at each place")
        return self._last(clip).mean(2)

    def _pooled(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f s y x"]:
        return self.pool(self._last(clip))

    def _last(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f s y x"]:
        x = self.stem(fastest_layout(clip))
        for stage in self.blocks:
            x = stage(x)
        return x

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Stem, the residual stages, and late fusion's joining layer."""
        parts = [("stem", self.stem), *((f"stage{i + 1}", stage) for i, stage in enumerate(self.blocks))]
        return parts if self.join is None else [*parts, ("join", self.join)]


def _joining(inputs: int, units: int, norm: bool) -> nn.Sequential:
    layers = {"0": nn.Linear(inputs, units), **({"norm": nn.LayerNorm(units)} if norm else {}), "1": nn.ReLU()}
    return nn.Sequential(OrderedDict(layers))  # names under which weights without the norm were saved


def _stem(spec: InputSpec, width: int, time: TimeStep) -> nn.Sequential:
    length, stride = time
    if length == 0:
        length, stride, padding = spec.clip_len, 1, 0
    else:
        padding = length // 2
    conv = nn.Conv3d(spec.num_channels, width, (length, 7, 7), (stride, 4, 4), (padding, 3, 3), bias=False)
    return nn.Sequential(conv, nn.BatchNorm3d(width), nn.ReLU(inplace=True))


_PAPER = "compact residual network (He et al. 2016) with the fusions of Karpathy et al. 2014"
_SMALL = {"width": 32, "depths": (1, 1, 1)}
_TINY = {"width": 16, "depths": (1, 1), "dropout": 0.0}
_SMALL_TIMES = {"stem_time": (3, 2), "times": ((3, 1), (3, 2), (3, 2))}
_TINY_TIMES = {"stem_time": (3, 1), "times": ((3, 1), (3, 2))}


def _input(clip_len: int, size: int, sampling: Literal["dense", "spread"] = "spread") -> InputSpec:
    return InputSpec(clip_len=clip_len, size=(size, size), sampling=sampling)


def _variant(arguments: dict[str, object], input: InputSpec, note: str) -> Variant:
    return Variant(builder=SmallFusion, arguments=arguments, input=input, paper=_PAPER, note=note)


def _joined(arguments: dict[str, object], units: int, input: InputSpec, note: str) -> Variant:
    variant = _variant({**arguments, "joined": (units, 3), "join_norm": True}, input, note)
    return replace(variant, older={"join_norm": False})


VARIANTS: dict[str, Variant] = {
    "single_frame_small": _variant(_SMALL, _input(1, 96), "one frame: the baseline"),
    "early_fusion_small": _variant({**_SMALL, "stem_time": (0, 1)}, _input(16, 96), "time ends in the first filters"),
    "late_fusion_small": _joined(_SMALL, 128, _input(8, 96), "frames meet after the last stage"),
    "slow_fusion_small": _variant({**_SMALL, **_SMALL_TIMES}, _input(16, 96), "time joins step by step, in (2+1)D"),
    "single_frame_tiny": _variant(_TINY, _input(1, 48), "for demonstrations and tests"),
    "early_fusion_tiny": _variant({**_TINY, "stem_time": (0, 1)}, _input(12, 48), "for demonstrations and tests"),
    "late_fusion_tiny": _joined(_TINY, 64, _input(12, 48), "for demonstrations and tests"),
    "slow_fusion_tiny": _variant({**_TINY, **_TINY_TIMES}, _input(12, 48), "for demonstrations and tests"),
}
