"""A classifier on an encoder that someone else trained on millions of clips: V-JEPA 2, VideoMAE, CLIP and others.

The encoder comes from the transformers library (`hf:NAME_OR_FOLDER`, see `hub_source`) and turns a clip into tokens; a
probe makes one vector of them. With `--transfer head` the encoder stays as it is and the probe learns alone, which is how
V-JEPA (Bardes et al. 2024) and V-JEPA 2 (Assran et al. 2025) are judged, and what a CPU can do: with kept features it sees
each clip through the encoder once.
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
        spec: the input; its default is what the encoder's publisher used.
        num_classes: length of the logits; None is 400, the classes of Kinetics.
        backbone: the encoder.
        tokens: what the probe gets: "all" tokens; the mean over space of each time step ("times": less to keep); or the
            class token alone, where there is one. An encoder of pictures gives one vector a frame in any case.
        probe: "attentive", a learned question to the tokens (`AttentiveProbe`), or their "mean" behind a layer norm.
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
            places = spec.clip_len if encoder.sees_pictures else 0
            self.probe = AttentiveProbe(encoder.width, encoder.num_heads, probe_depth, places)
        else:
            self.probe = nn.LayerNorm(encoder.width)

    def encode(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b n f"]:
        """The encoder's tokens in order of time, or what `tokens` makes of them."""
        tokens = self.encoder(clip)
        first = int(self.encoder.family.class_token)
        if self.tokens == "class":
            return tokens[:, :first]
        if self.tokens == "times" and not self.encoder.sees_pictures:
            return reduce(tokens[:, first:], "b (t n) f -> b t f", "mean", t=self.encoder.num_times)
        return tokens[:, first:]

    def join(self, encoded: Float[Tensor, "b n f"], lengths: Int[Tensor, " b"] | None = None) -> Float[Tensor, "b f"]:
        """The probe's vector."""
        if isinstance(self.probe, AttentiveProbe):
            return self.probe(encoded, lengths)
        return self.probe(pool_time(encoded, "mean", lengths))

    def frame_parts(self) -> FrameParts | None:
        """Its two steps, if it is an encoder of pictures."""
        return super().frame_parts() if self.encoder.sees_pictures else None

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Those of the encoder, then the probe."""
        return [*self.encoder.stages(), ("probe", self.probe)]


_KINETICS = 400

VARIANTS: dict[str, Variant] = {
    "video_encoder": Variant(
        builder=None,
        arguments={},
        input=InputSpec(clip_len=8, size=(224, 224), sampling="spread"),
        paper="Bardes et al. 2024, Revisiting Feature Prediction for Learning Visual Representations from Video (probe)",
        on_backbone=VideoEncoder,
        note="a probe on an encoder of transformers, --backbone hf:NAME",
    ),
}
