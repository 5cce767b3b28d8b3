"""Single-frame network: the baseline that shows what time adds (Karpathy et al. 2014).

Its clips have one frame. Scores of several clips of a video are averaged where videos are scored, not here.
"""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from kinema.models.backbone import Backbone, BackboneSource
from kinema.models.network import JoinedNetwork
from kinema.types import InputSpec


class SingleFrame(JoinedNetwork):
    """A 2-D backbone with a classifier.

    Args:
        spec: the input; its `clip_len` is 1.
        num_classes: length of the logits; None keeps the backbone's classes and, where published, its classifier.
        backbone: the frame network.
        dropout: before the classifier.
    """

    def __init__(
        self, spec: InputSpec, num_classes: int | None, backbone: BackboneSource, dropout: float = 0.0
    ) -> None:
        frames = backbone.open(spec.size)
        super().__init__(spec, frames.feature_dim, num_classes or frames.num_classes, dropout)
        self.backbone: Backbone = frames
        if num_classes is None and frames.published_classifier is not None:
            self.adopt_classifier(*frames.published_classifier)

    def encode(self, clip: Float[Tensor, "b c 1 h w"]) -> Float[Tensor, "b 1 f"]:
        """The backbone's features."""
        return self.backbone(clip[:, :, 0])[:, None]

    def join(self, encoded: Float[Tensor, "b 1 f"], lengths: Int[Tensor, " b"] | None = None) -> Float[Tensor, "b f"]:
        """The vector of the only frame."""
        return encoded[:, 0]

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Those of the backbone."""
        return self.backbone.stages()
