"""What is known of the encoders of transformers, and one way to call them all: clips in, tokens out."""

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
"""Layers behind the blocks, whatever their place in the code; other layers outside of blocks are before them."""


@dataclass(frozen=True)
class Family:
    """Encoders of one kind.

    Args:
        model_class: its name in transformers.
        clip_name: what its forward calls the clip.
        frames: the field of its configuration that holds the number of frames; "" sees single pictures.
        size: the field that holds the picture's size.
        part: the module of it that encodes; "" is all of it.
        nested: it is half of a dual encoder of pictures and text, and its configuration part of theirs.
        output: the field of what it returns.
        class_token: its first token stands for no place.
        time_last: its tokens run through the frames of one place before the next place.
        pooling: False where it must be told to leave a pooling layer out.
        scale: mean and deviation that are usual for its kind.
        offset: what it takes away from pixels before these.
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
        """The configuration of the encoder within that of a dual one."""
        return config.vision_config if self.nested else config


class Encoder(nn.Module):
    """An encoder of transformers.

    Args:
        family: what is known of its kind.
        model: the network.
        config: its configuration, fitted to the clips.
        spec: the clips.
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
    def sees_pictures(self) -> bool:
        """Whether it sees each frame for itself, and gives one vector a frame."""
        return not self.family.frames

    def forward(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b n f"]:
        """Its tokens in order of time, a class token before them where it has one; or one vector a frame."""
        if self.sees_pictures:
            vectors = self._call(rearrange(clip, "b c t h w -> (b t) c h w"))
            return rearrange(vectors, "(b t) f -> b t f", b=clip.shape[0])
        tokens = self._call(rearrange(clip, "b c t h w -> b t c h w"))
        if self.family.time_last:
            whole, places = tokens[:, :1], tokens[:, 1:]
            places = rearrange(places, "b (n t) f -> b (t n) f", t=self.num_times)
            return torch.cat([whole, places], dim=1)
        return tokens

    def stages(self) -> list[tuple[str, nn.Module]]:
        """What comes before the blocks, and each block; the last one with what comes behind it."""
        return parts_in_order(self.core, self._depths())

    def _call(self, pixels: Tensor) -> Tensor:
        return getattr(self.core(**{self.family.clip_name: pixels}), self.family.output)

    def _depths(self) -> dict[str, int | float]:
        blocks: list[str] = []
        for name, module in self.core.named_modules():
            if isinstance(module, nn.ModuleList) and not any(name.startswith(block) for block in blocks):
                blocks += [f"{name}.{index}." for index in range(len(module))]
        depths: dict[str, int | float] = {}
        for name, _ in self.core.named_parameters():
            inside = next((index for index, block in enumerate(blocks) if name.startswith(block)), None)
            behind = any(part in _ENDINGS for part in name.split("."))
            depths[name] = inside + 1 if inside is not None else len(blocks) if behind else 0
        return depths
