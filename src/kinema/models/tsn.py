"""Temporal segment networks (TSN, Wang et al. 2016): frames spread over the video, one network, a consensus.

The video is divided into equal snippets, and one frame of each is taken: that is `sampling="spread"`. The network is late
fusion without order; it shows what a single-frame network gains from several frames.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kinema.models.backbone import BackboneSource
from kinema.models.fusion import LateFusion, pool_time
from kinema.models.layers.grey_time import GreyTime, colours_of
from kinema.models.network import FrameParts
from kinema.models.small import SmallFusion
from kinema.models.variant import Variant
from kinema.types import InputSpec

Consensus = Literal["mean", "max", "top"]


class Tsn(LateFusion):
    """Temporal segment network: one 2-D network on a frame of each snippet, and a consensus.

    The consensus is over features; for the mean this equals one over logits, because the classifier is linear.

    Args:
        spec: the input; `spec.clip_len` snippets.
        num_classes: length of the logits; None keeps the backbone's classes.
        backbone: the 2-D network.
        consensus: "mean", "max", or "top": the mean of the `top` largest values of each feature.
        top: number of these values.
        dropout: before the classifier.
        grey_time: turn every three frames into the colours of one; see `GreyTime`.
    """

    join_arguments = ("consensus", "top")

    def __init__(
        self,
        spec: InputSpec,
        num_classes: int | None,
        backbone: BackboneSource,
        consensus: Consensus = "mean",
        top: int = 3,
        dropout: float = 0.5,
        grey_time: bool = False,
    ) -> None:
        if consensus not in get_args(Consensus) or top < 1:
            raise ValueError(f"need a consensus of {get_args(Consensus)} and top > 0, got {consensus=}, {top=}")
        super().__init__(spec, num_classes, backbone, head="max" if consensus == "max" else "mean", dropout=dropout)
        self.top = top if consensus == "top" else 0
        self.colours = colours_of(spec, grey_time)

    def encode(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b s f"]:
        """Features of each frame, or of each three with `grey_time`."""
        return super().encode(self.colours(clip))

    def frame_parts(self) -> FrameParts | None:
        """`encode` and `join`; None with `grey_time`."""
        return None if isinstance(self.colours, GreyTime) else super().frame_parts()

    def join(self, encoded: Float[Tensor, "b t f"], lengths: Int[Tensor, " b"] | None = None) -> Float[Tensor, "b f"]:
        """The consensus."""
        if not self.top:
            return super().join(encoded, lengths)
        batch, length, _ = encoded.shape
        counts = torch.full((batch,), length, device=encoded.device) if lengths is None else lengths.to(encoded.device)
        inside = torch.arange(length, device=encoded.device)[None] < counts[:, None]
        lowest = torch.finfo(encoded.dtype).min
        best = encoded.masked_fill(~inside[..., None], lowest).topk(min(self.top, length), dim=1).values
        return pool_time(best, "mean", counts.clamp(max=best.shape[1]))


_PAPER = "Wang et al. 2016, Temporal Segment Networks"
_INPUT = InputSpec(clip_len=8, size=(224, 224), sampling="spread")
_SMALL = {"width": 32, "depths": (1, 1, 1)}

VARIANTS: dict[str, Variant] = {
    "tsn": Variant(
        None, {}, _INPUT, _PAPER, on_backbone=Tsn, backbone="resnet50", note="the mean of spread frames; any backbone"
    ),
    "tsn_small": Variant(SmallFusion, _SMALL, _INPUT.with_(size=(96, 96)), _PAPER, note="the mean of spread frames"),
}
