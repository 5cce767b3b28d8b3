"""Late and early fusion on any 2-D backbone (Karpathy et al. 2014).

Late fusion runs one network with shared weights (a tower) on each frame and joins the features after the last layer: it
can compare frames, but not see motion between neighbours. Early fusion gives all frames of the clip to the first filters
as channels; the rest of the network is 2-D. Slow fusion needs filters over time in all layers: see `karpathy`, `small`.
"""

from __future__ import annotations

from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from kinema.models.backbone import Backbone, BackboneSource
from kinema.models.network import JoinedNetwork, Network
from kinema.types import InputSpec

Head = Literal["fc", "mean", "max"]


class LateFusion(JoinedNetwork):
    """One tower with shared weights on each frame; their features are joined at the end.

    Args:
        spec: the input; `spec.clip_len` towers, `spec.frame_stride` frames apart.
        num_classes: length of the logits; None keeps the backbone's classes.
        backbone: the tower.
        head: "fc" joins the features of all frames, in order, in fully connected layers; "mean" and "max" pool them.
        hidden: units of each fully connected layer.
        dropout: before each fully connected layer and before the classifier.
    """

    join_arguments = ("head", "hidden")

    def __init__(
        self,
        spec: InputSpec,
        num_classes: int | None,
        backbone: BackboneSource,
        head: Head = "fc",
        hidden: tuple[int, ...] = (512,),
        dropout: float = 0.2,
    ) -> None:
        tower = backbone.open(spec.size)
        joined = tower.feature_dim * spec.clip_len
        feature_dim = hidden[-1] if head == "fc" else tower.feature_dim
        super().__init__(spec, feature_dim, num_classes or tower.num_classes, dropout)
        self.backbone: Backbone = tower
        self.head = head
        self.joining = fully_connected(joined, hidden, dropout) if head == "fc" else None
        self.num_head_stages = len(hidden) if head == "fc" else 0
        if num_classes is None and self.joining is None and tower.published_classifier is not None:
            self.adopt_classifier(*tower.published_classifier)

    def encode(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b t f"]:
        """Features of each frame."""
        towers = self.backbone(rearrange(clip, "b c t h w -> (b t) c h w"))
        return rearrange(towers, "(b t) f -> b t f", b=clip.shape[0])

    def join(self, encoded: Float[Tensor, "b t f"], lengths: Int[Tensor, " b"] | None = None) -> Float[Tensor, "b g"]:
        """Features of all frames, joined in order or pooled."""
        if self.joining is not None:
            return self.joining(rearrange(encoded, "b t f -> b (t f)"))
        return pool_time(encoded, self.head, lengths)

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Those of the tower, then each joining layer."""
        layers = [layer for layer in self.joining or () if isinstance(layer, nn.Linear)]
        return [*self.backbone.stages(), *((f"join{index + 1}", layer) for index, layer in enumerate(layers))]


class EarlyFusion(Network):
    """All frames of a clip as channels of one 2-D network.

    Args:
        spec: the input; the first filters are as long as `spec.clip_len`.
        num_classes: length of the logits; None keeps the backbone's classes.
        backbone: the 2-D network; published first filters are repeated over time and divided by the number of frames.
        dropout: before the classifier.
    """

    def __init__(
        self, spec: InputSpec, num_classes: int | None, backbone: BackboneSource, dropout: float = 0.0
    ) -> None:
        network = backbone.open(spec.size, num_frames=spec.clip_len)
        super().__init__(spec, network.feature_dim, num_classes or network.num_classes, dropout)
        self.backbone: Backbone = network
        if num_classes is None and network.published_classifier is not None:
            self.adopt_classifier(*network.published_classifier)

    def features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
        """Those of the backbone; channels run (frame, colour)."""
        return self.backbone(rearrange(clip, "b c t h w -> b (t c) h w"))

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Those of the backbone."""
        return self.backbone.stages()


def pool_time(
    encoded: Float[Tensor, "b t f"], how: str = "mean", lengths: Int[Tensor, " b"] | None = None
) -> Float[Tensor, "b f"]:
    """Mean or maximum over time; with `lengths` only over that many first time steps of each clip."""
    if lengths is None:
        return encoded.mean(dim=1) if how == "mean" else encoded.amax(dim=1)
    counts = lengths.to(encoded.device)[:, None]
    inside = (torch.arange(encoded.shape[1], device=encoded.device)[None] < counts)[..., None]
    if how == "mean":
        return (encoded * inside).sum(dim=1) / counts
    return encoded.masked_fill(~inside, -torch.inf).amax(dim=1)


def fully_connected(inputs: int, hidden: tuple[int, ...] | list[int], dropout: float) -> nn.Sequential:
    """Linear layers with ReLUs, and dropout between them; dropout before the classifier is the network's own."""
    layers: list[nn.Module] = []
    for index, units in enumerate(hidden):
        if index:
            layers.append(nn.Dropout(dropout))
        layers += [nn.Linear(inputs, units), nn.ReLU(inplace=True)]
        inputs = units
    return nn.Sequential(*layers)
