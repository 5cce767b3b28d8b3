"""2-D networks inflated to 3-D, with their weights.

Carreira and Zisserman (2017) made I3D from an image network: each k x k filter becomes time x k x k, its weights copied
over time and divided by the number of copies. For a clip without motion the 3-D network then gives what the 2-D network
gave for its frame. Other initialisations over time keep that: see `time_conv`.

Two factorised kinds keep the 2-D convolution and add a filter over time, "(2+1)D" as in Tran et al. (2018): "2+1d" mixes
channels, "depthwise" has one filter a channel. Depthwise is the one for a CPU: MobileNetV2 with it takes as long as frame
by frame, with 3 x 3 x 3 filters two to four times as long.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from torch import nn

from kinema.errors import UnknownName
from kinema.models.backbone import BackboneSource
from kinema.models.layers.fold import Fold, FoldedNetwork, Unfolded, block_convs
from kinema.models.layers.time_conv import InflatedConv, Init, Padding, TimeConv, TimePool
from kinema.models.small import Block, SmallFusion
from kinema.models.variant import Variant
from kinema.types import InputSpec

Kind = Literal["depthwise", "2+1d", "3d"]

_HEADS = ("pre_logits", "head", "classifier", "fc")  # layers after a network's last pooling
_FEW = 4  # channels: colours, from which filters over time gain little


@dataclass(frozen=True)
class Inflation:
    """Which convolutions are inflated, and how.

    Args:
        kind: "3d" makes k x k filters time x k x k; "2+1d" and "depthwise" add a filter over time, on the side of the
            convolution that has fewer channels.
        where: "spatial" for all convolutions larger than 1 x 1; "blocks" for the first of each residual block (1 x 1 in
            a ResNet with bottlenecks, as in the I3D-ResNet of Wang et al. 2018); "auto" for "blocks" if there are
            any; else a regular expression that is searched in the names of convolutions: "layer[34].*conv2".
        every: take each n-th of those, from the first on.
        length: of the filters over time; odd.
        init: initialisation over time: "shift", "centre" or "mean" (as published); see `time_conv`.
        padding: before the first and after the last frame: "zeros", or "replicate" for that frame, with which a clip
            without motion gives exactly the 2-D network's features.
        time_strides: by backbone part, how many time steps are max-pooled to one before it, such as {"layer2": 2}.
    """

    kind: Kind = "depthwise"
    where: str = "auto"
    every: int = 1
    length: int = 3
    init: Init = "shift"
    padding: Padding = "zeros"
    time_strides: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for value, known in ((self.kind, Kind), (self.init, Init), (self.padding, Padding)):
            if value not in get_args(known):
                raise ValueError(f"{value!r} is none of {', '.join(get_args(known))}")
        if self.length < 1 or self.length % 2 == 0:
            raise ValueError(f"filters over time need an odd length, got {self.length}")
        if self.every < 1 or any(stride < 1 for stride in self.time_strides.values()):
            raise ValueError(f"counts begin at 1, got every={self.every}, time_strides={dict(self.time_strides)}")


def inflate(network: nn.Module, how: Inflation | None = None, fold: Fold | None = None) -> Fold:
    """Inflate a 2-D network of timm, with its weights, in place.

    >>> network = timm.create_model("resnet18")
    >>> fold = inflate(network, Inflation(kind="3d", init="mean"))
    >>> network(fold.frames(clip))    # [b c t h w] in, [(b t) classes] out

    Args:
        network: the 2-D network.
        how: which convolutions, and how; None takes the defaults.
        fold: the `Fold` that its frames come from, if there is one already.

    Raises:
        ValueError: no such convolutions, or one that cannot be inflated.
        UnknownName: a time stride before an unknown part.
    """
    how, fold = how or Inflation(), fold or Fold()
    names = _selected(network, how.where)[:: how.every]
    if not names:
        raise ValueError(f"no convolution of {type(network).__name__} fits where={how.where!r}")
    for name in names:
        network.set_submodule(name, _inflated(network.get_submodule(name), how, fold))
    for name, stride in how.time_strides.items():
        parts = [path for path, _ in network.named_modules() if path]
        if name not in parts:
            raise UnknownName("part of this backbone", name, parts)
        layers = {"time_pool": Unfolded(fold, TimePool(stride)), "then": network.get_submodule(name)}
        network.set_submodule(name, nn.Sequential(OrderedDict(layers)))
    return fold


def _selected(network: nn.Module, where: str) -> list[str]:
    blocks = block_convs(network) if where in ("auto", "blocks") else []
    if blocks or where == "blocks":
        return blocks
    convs = {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)}
    if where not in ("auto", "spatial"):
        return [name for name in convs if re.search(where, name)]
    return [name for name, conv in convs.items() if max(conv.kernel_size) > 1 and name.partition(".")[0] not in _HEADS]


def _inflated(conv: Any, how: Inflation, fold: Fold) -> nn.Module:
    if how.kind == "3d":
        return Unfolded(fold, InflatedConv(conv, how.length, how.init, how.padding))
    before = _FEW < conv.in_channels < conv.out_channels
    channels = conv.in_channels if before else conv.out_channels
    groups = channels if how.kind == "depthwise" else 1
    time = Unfolded(fold, TimeConv(channels, how.length, groups, how.init, how.padding).to(conv.weight))
    layers = {"time": time, "space": conv} if before else {"space": conv, "time": time}
    return nn.Sequential(OrderedDict(layers))


class Inflated(FoldedNetwork):
    """A 2-D backbone inflated to 3-D; its pooled features are averaged over time.

    Args:
        spec: the input.
        num_classes: length of the logits; None keeps the backbone's classes.
        backbone: any CNN.
        dropout: before the classifier.
        kind, where, every, length, init, padding, time_strides: see `Inflation`.
        grey_time: turn every three frames into the colours of one; see `GreyTime`.
    """

    def __init__(  # noqa: PLR0913  # the fields of Inflation, so that each is a setting of the network
        self,
        spec: InputSpec,
        num_classes: int | None,
        backbone: BackboneSource,
        *,
        kind: Kind = "depthwise",
        where: str = "auto",
        every: int = 1,
        length: int = 3,
        init: Init = "shift",
        padding: Padding = "zeros",
        time_strides: Mapping[str, int] | None = None,
        dropout: float = 0.2,
        grey_time: bool = False,
    ) -> None:
        super().__init__(spec, num_classes, backbone, dropout, grey_time)
        how = Inflation(kind, where, every, length, init, padding, time_strides or {})
        inflate(self.backbone.model, how, self.fold)


class SmallInflated(SmallFusion):
    """The compact trunk of `single_frame_small` with a depthwise filter over time in each block."""

    def __init__(
        self,
        spec: InputSpec,
        num_classes: int,
        width: int = 32,
        depths: Sequence[int] = (1, 1, 1),
        length: int = 3,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(spec, num_classes, width, depths, dropout=dropout)
        for block in [module for module in self.modules() if isinstance(module, Block)]:
            block.conv_time = TimeConv(block.conv2.in_channels, length)


_PAPER = "Carreira and Zisserman 2017, Quo Vadis, Action Recognition?"
_INPUT = InputSpec(clip_len=8, size=(224, 224), sampling="spread")
_SMALL = {"width": 32, "depths": (1, 1, 1)}
_NOTE_ANY = "filters over time in a 2-D network; any CNN as backbone"
_NOTE_I3D = "3x1x1 filters in every second block, weights of an image network"
_I3D = {"kind": "3d", "where": "blocks", "every": 2, "time_strides": {"layer2": 2}}

VARIANTS: dict[str, Variant] = {
    "inflated": Variant(None, {}, _INPUT, _PAPER, on_backbone=Inflated, backbone="mobilenetv2_100", note=_NOTE_ANY),
    "inflated_resnet50": Variant(
        None, {}, _INPUT.with_(clip_len=16), _PAPER, 400, Inflated, "resnet50", _I3D, _NOTE_I3D
    ),
    "inflated_small": Variant(
        SmallInflated, _SMALL, _INPUT.with_(size=(96, 96)), _PAPER, note="a depthwise filter over time in each block"
    ),
}
