"""A classifier on a pretrained encoder of the transformers library: V-JEPA 2, VideoMAE, CLIP and others.

The encoder (`hf:NAME_OR_FOLDER`, see `hub_source`) turns a clip into tokens, and a probe reduces them to one vector. With
`--transfer head` only the probe is trained, which is how V-JEPA (Bardes et al. 2024) and V-JEPA 2 (Assran et al. 2025) are
evaluated. A CPU can do that: with cached features each clip goes through the encoder once.
"""

from __future__ import annotations

from typing import Literal

from einops import reduce
from jaxtyping import Float, Int
from torch import Tensor, nn

from kinema.models.fusion import pool_time
from kinema.models.hub_source import HubSource
from kinema.models.layers.attentive_probe import AttentiveProbe
from kinema.models.network import FrameParts, JoinedNetwork
from kinema.models.variant import Variant
from kinema.types import InputSpec

Tokens = Literal["all", "times", "class"]
Probe = Literal["attentive", "mean"]


class VideoEncoder(JoinedNetwork):
    """An encoder of transformers and a probe.

    Args:
        spec: the input; by default that of the encoder's publisher.
        num_classes: length of the logits; None is 400, the classes of Kinetics.
        backbone: the encoder.
        tokens: input of the probe: "all" tokens; "times", their mean over space at each time step (smaller to cache); or
            "class", the class token alone if there is one. An encoder of images gives one vector a frame in any case.
        probe: "attentive", a learned query that attends to the tokens (`AttentiveProbe`), or their "mean" and a layer norm.
        probe_depth: blocks of self-attention in the attentive probe: 0 (V-JEPA) to 3 (V-JEPA 2).
        dropout: before the classifier.
    """

    join_arguments = ("probe", "probe_depth", "dropout")
    num_head_stages = 1

    def __init__(
        self,
        spec: InputSpec,
        num_classes: int | None,
        backbone: HubSource,
        tokens: Tokens = "all",
        probe: Probe = "attentive",
        probe_depth: int = 0,
        dropout: float = 0.0,
    ) -> None:
        encoder = backbone.open(spec)
        super().__init__(spec, encoder.width, num_classes or _KINETICS, dropout)
        if tokens not in ("all", "times", "class") or probe not in ("attentive", "mean"):
            raise ValueError(f"tokens are all, times or class, a probe is attentive or mean, got {tokens=}, {probe=}")
        if tokens == "class" and not encoder.family.class_token:
            raise ValueError(f"{backbone.name} has no class token: take tokens=all or tokens=times")
        self.encoder, self.tokens = encoder, tokens
        self.probe: nn.Module
        if probe == "attentive":
            places = spec.clip_len if encoder.sees_frames_alone else 0
            self.probe = AttentiveProbe(encoder.width, encoder.num_heads, probe_depth, places)
        else:
            self.probe = nn.LayerNorm(encoder.width)

    def encode(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b n f"]:
        """The encoder's tokens in order of time, reduced as `tokens` says."""
        tokens = self.encoder(clip)
        first = int(self.encoder.family.class_token)
        if self.tokens == "class":
            return tokens[:, :first]
        if self.tokens == "times" and not self.encoder.sees_frames_alone:
            return reduce(tokens[:, first:], "b (t n) f -> b t f", "mean", t=self.encoder.num_times)
        return tokens[:, first:]

    def join(self, encoded: Float[Tensor, "b n f"], lengths: Int[Tensor, " b"] | None = None) -> Float[Tensor, "b f"]:
        """The probe's vector."""
        if isinstance(self.probe, AttentiveProbe):
            return self.probe(encoded, lengths)
        return self.probe(pool_time(encoded, "mean", lengths))

    def frame_parts(self) -> FrameParts | None:
        """The two steps of an encoder of images; None for one of clips."""
        return super().frame_parts() if self.encoder.sees_frames_alone else None

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Those of the encoder, then the probe."""
        return [*self.encoder.stages(), ("probe", self.probe)]


_KINETICS = 400

_PAPER = "Bardes et al. 2024, Revisiting Feature Prediction for Learning Visual Representations from Video (probe)"
_INPUT = InputSpec(clip_len=8, size=(224, 224), sampling="spread")

VARIANTS: dict[str, Variant] = {
    "video_encoder": Variant(
        None, {}, _INPUT, _PAPER, 400, VideoEncoder, note="a probe on an encoder of transformers, --backbone hf:NAME"
    ),
}
