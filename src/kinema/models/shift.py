"""The temporal shift (TSM, Lin et al. 2019): a 2-D network sees neighbouring frames at no cost.

Before the first convolution of each residual branch, an eighth of the channels is shifted one frame forward in time and
an eighth one frame backward, without parameters and multiplications; the shortcut keeps the features of each frame.
Logits are the mean over frames, as in TSN. The variant for streams is in `online_shift`.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.backbone import BackboneSource
from kinema.models.layers.fold import FoldedNetwork, Unfolded, block_convs
from kinema.models.small import Block, SmallFusion
from kinema.models.variant import Variant
from kinema.types import InputSpec

FROM_TSM: tuple[tuple[str, str], ...] = (
    (r"(?:module\.)?base_model\.", "backbone.model."),
    (r"(backbone\.model\.layer\d+\.\d+\.conv1)\.net\.", r"\1.conv."),
    (r"(?:module\.)?new_fc\.", "classifier."),
)
"""Names of Lin et al.'s own files, for ResNets."""

_MANY = 23  # blocks of a stage from which on only every second block has a shift (ResNet-101)


class Shift(nn.Module):
    """Shifts channels by one frame; zeros come in at the ends.

    clip_len=4, channels a b c, one shifted each way:

        a1 a2 a3 a4        a2 a3 a4  0      from the next frame
        b1 b2 b3 b4   ->    0 b1 b2 b3      from the previous frame
        c1 c2 c3 c4        c1 c2 c3 c4

    Args:
        moved: number of channels shifted each way.
    """

    def __init__(self, moved: int) -> None:
        super().__init__()
        self.moved = moved

    def forward(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c t h w"]:
        """The same size."""
        moved, length = self.moved, clip.shape[2]
        padded = F.pad(clip[:, : 2 * moved], (0, 0, 0, 0, 1, 1))
        later, earlier = padded[:, :moved, 2:], padded[:, moved:, :length]
        return torch.cat([later, earlier, clip[:, 2 * moved :]], dim=1)

    def extra_repr(self) -> str:
        """Settings, for the printed network."""
        return f"moved={self.moved}"


class Tsm(FoldedNetwork):
    """Temporal shift on a 2-D backbone with residual branches; the mean over frames.

    Args:
        spec: the input.
        num_classes: length of the logits; None keeps the backbone's classes.
        backbone: a ResNet, MobileNet, EfficientNet, ConvNeXt or another with residual blocks.
        share: one in `share` channels is shifted forward, and one backward.
        every: shift in each n-th block of a stage; 0 is the paper's rule: 1, and 2 in networks as deep as ResNet-101.
        dropout: before the classifier.
        grey_time: turn every three frames into the colours of one; see `GreyTime`.
    """

    def __init__(
        self,
        spec: InputSpec,
        num_classes: int | None,
        backbone: BackboneSource,
        share: int = 8,
        every: int = 0,
        dropout: float = 0.5,
        grey_time: bool = False,
    ) -> None:
        super().__init__(spec, num_classes, backbone, dropout, grey_time)
        for name, moved in shifted_convs(self.backbone.model, share, every):
            put_before(self.backbone.model, name, Unfolded(self.fold, Shift(moved)))


def shifted_convs(network: nn.Module, share: int = 8, every: int = 0) -> list[tuple[str, int]]:
    """Names of the convolutions after a shift, and the number of channels shifted each way.

    Raises:
        ConfigError: the network has no residual branches, or none that are recognised.
    """
    names = block_convs(network, residual_only=True)
    if not names:
        do = "take a ResNet, RegNet, MobileNet, EfficientNet, ConvNeXt or DenseNet, or `inflated`, which takes any CNN"
        raise ConfigError("no residual branches to shift in", type(network).__name__, do)
    stages = Counter(_stage(name) for name in names)
    every = every or (2 if max(stages.values()) >= _MANY else 1)
    place: Counter[str] = Counter()
    chosen = []
    for name in names:
        if place[_stage(name)] % every == 0:
            conv: Any = network.get_submodule(name)
            chosen.append((name, max(1, conv.in_channels // share)))
        place[_stage(name)] += 1
    return chosen


def _stage(conv: str) -> str:
    """layer1.0.conv1 -> layer1."""
    return re.split(r"\.\D*\d+\.(?:conv|dw|pw)", conv)[0]


def put_before(network: nn.Module, name: str, shift: nn.Module) -> None:
    """Insert a shift before a convolution."""
    layers = OrderedDict(shift=shift, conv=network.get_submodule(name))
    network.set_submodule(name, nn.Sequential(layers))


class SmallTsm(SmallFusion):
    """The compact trunk of `single_frame_small` with a shift in each block.

    Args:
        spec: the input.
        num_classes: length of the logits.
        width: channels of the stem and of the first stage.
        depths: blocks of each stage.
        share: one in `share` channels is shifted forward, and one backward.
        dropout: before the classifier.
    """

    def __init__(
        self,
        spec: InputSpec,
        num_classes: int,
        width: int = 32,
        depths: Sequence[int] = (1, 1, 1),
        share: int = 8,
        dropout: float = 0.2,
    ) -> None:
        super().__init__(spec, num_classes, width, depths, dropout=dropout)
        put_in_blocks(self, lambda channels, _: Shift(max(1, channels // share)))


def put_in_blocks(network: SmallFusion, make: Callable[[int, str], nn.Module]) -> None:
    """Insert a shift, made from the number of input channels and a name, before the first convolution of each block."""
    for name, block in list(network.named_modules()):
        if isinstance(block, Block):
            put_before(network, f"{name}.conv1", make(block.conv1.in_channels, name))


PAPER = "Lin et al. 2019, TSM: Temporal Shift Module for Efficient Video Understanding"
SMALL = {"width": 32, "depths": (1, 1, 1)}
_INPUT = InputSpec(clip_len=8, size=(224, 224), sampling="spread")


def _on(backbone: str, note: str) -> Variant:
    return Variant(None, {}, _INPUT, PAPER, on_backbone=Tsm, backbone=backbone, note=note)


VARIANTS: dict[str, Variant] = {
    "tsm": _on("mobilenetv2_100", "channels shift to neighbours in time; any residual backbone"),
    "tsm_resnet50": _on("resnet50", "as published"),
    "tsm_small": Variant(
        SmallTsm, SMALL, _INPUT.with_(size=(96, 96)), PAPER, note="channels shift to neighbours in time"
    ),
}
