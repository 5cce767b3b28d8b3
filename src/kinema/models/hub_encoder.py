"""Encoders of transformers behind one interface: clips in, tokens out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from kinema.models.layers.parts import parts_in_order
from kinema.types import InputSpec

Scale = tuple[tuple[float, ...], tuple[float, ...]]

_ENDINGS = ("layernorm", "layernorm2", "post_layernorm", "head", "visual_projection")
"""Layers after the blocks, wherever they are declared; other layers outside of blocks come before them."""


@dataclass(frozen=True)
class Family:
    """Encoders of one kind.

    Args:
        model_class: its name in transformers.
        clip_name: the argument of `forward` for the clip.
        frames: the field of its configuration with the number of frames; "" for encoders of single images.
        size: the field with the image size.
        part: the submodule that encodes; "" is all of it.
        nested: it is half of a dual encoder of images and text, and its configuration is part of theirs.
        output: the field of the returned object with the tokens.
        class_token: its first token is a class token.
        time_last: tokens run over the frames of one position before the next position.
        pooling: False if a pooling layer must be switched off.
        scale: the usual mean and standard deviation of its kind.
        offset: subtracted from pixels before these.
    """

    model_class: str
    clip_name: str = "pixel_values"
    frames: str = ""
    size: str = "image_size"
    part: str = ""
    nested: bool = False
    output: str = "last_hidden_state"
    class_token: bool = False
    time_last: bool = False
    pooling: bool = True
    scale: Scale = ((0.5,) * 3, (0.5,) * 3)
    offset: float = 0.0

    def core_config(self, config: Any) -> Any:
        """The encoder's own configuration, which can be nested in that of a dual encoder."""
        return config.vision_config if self.nested else config


class Encoder(nn.Module):
    """An encoder of transformers.

    Args:
        family: facts about its kind.
        model: the network.
        config: its configuration for these clips.
        spec: the input.
    """

    def __init__(self, family: Family, model: Any, config: Any, spec: InputSpec) -> None:
        super().__init__()
        self.family = family
        self.core: nn.Module = model.get_submodule(family.part)
        self.width = int(config.projection_dim if family.output == "image_embeds" else config.hidden_size)
        self.num_heads = math.gcd(self.width, int(config.num_attention_heads))
        tubelet = getattr(config, "tubelet_size", 1)
        self.num_times = max(spec.clip_len // int(tubelet if isinstance(tubelet, int) else tubelet[0]), 1)

    @property
    def sees_frames_alone(self) -> bool:
        """Whether it encodes each frame alone, as one vector a frame."""
        return not self.family.frames

    def forward(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b n f"]:
        """Tokens in order of time, after the class token if there is one; or one vector a frame."""
        order = "b c t h w -> (b t) c h w" if self.sees_frames_alone else "b c t h w -> b t c h w"
        tokens = getattr(self.core(**{self.family.clip_name: rearrange(clip, order)}), self.family.output)
        if self.sees_frames_alone:
            return rearrange(tokens, "(b t) f -> b t f", b=clip.shape[0])
        if self.family.time_last:
            whole, places = tokens[:, :1], tokens[:, 1:]
            places = rearrange(places, "b (n t) f -> b (t n) f", t=self.num_times)
            return torch.cat([whole, places], dim=1)
        return tokens

    def stages(self) -> list[tuple[str, nn.Module]]:
        """The layers before the blocks, then each block; the last one with the layers after it."""
        blocks: list[str] = []
        for name, module in self.core.named_modules():
            if isinstance(module, nn.ModuleList) and not any(name.startswith(block) for block in blocks):
                blocks += [f"{name}.{index}." for index in range(len(module))]
        depths: dict[str, int | float] = {}
        for name, _ in self.core.named_parameters():
            inside = next((index for index, block in enumerate(blocks) if name.startswith(block)), None)
            is_ending = any(part in _ENDINGS for part in name.split("."))
            depths[name] = inside + 1 if inside is not None else len(blocks) if is_ending else 0
        return parts_in_order(self.core, depths)
