"""The spatial trunk of the small fusion networks as a frame network: images in, one feature vector each out.

It has the interface of a backbone and the stem and blocks of `small`, so that comparisons isolate how time is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kinema.models.network import init_he
from kinema.models.small import Block


@dataclass(frozen=True)
class SmallFrames:
    """Which trunk to build; has the interface of `BackboneSource`.

    Args:
        width: channels of the stem and of the first stage; each further stage doubles them.
        depths: residual blocks of each stage.
        grid: features are averaged to grid x grid positions, so that recurrent layers get positions.
    """

    width: int = 32
    depths: Sequence[int] = (1, 1, 1)
    grid: int = 3

    def open(self, size: tuple[int, int]) -> SmallTrunk:
        """Build it; it takes images of any size."""
        return SmallTrunk(self)


class SmallTrunk(nn.Module):
    """A stem of stride 4 and residual stages: images [n 3 h w] to features [n f]."""

    num_classes = 400

    def __init__(self, source: SmallFrames) -> None:
        super().__init__()
        width = source.width
        stem = nn.Conv3d(3, width, (1, 7, 7), (1, 4, 4), (0, 3, 3), bias=False)
        self.stem = nn.Sequential(stem, nn.BatchNorm3d(width), nn.ReLU(inplace=True))
        self.blocks = nn.ModuleList()
        inputs = width
        for stage, depth in enumerate(source.depths):
            outputs = width * 2**stage
            blocks = [
                Block(inputs if block == 0 else outputs, outputs, 1 + (block == 0 < stage)) for block in range(depth)
            ]
            self.blocks.append(nn.Sequential(*blocks))
            inputs = outputs
        self.pool = nn.AdaptiveAvgPool3d((1, source.grid, source.grid))
        self.feature_dim = inputs * source.grid**2
        init_he(self)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n f"]:
        """Features of each position, channels first."""
        x = self.stem(images[:, :, None].contiguous(memory_format=torch.channels_last_3d))
        for stage in self.blocks:
            x = stage(x)
        return self.pool(x).flatten(1)

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Stem and residual stages."""
        return [("stem", self.stem), *((f"stage{index + 1}", stage) for index, stage in enumerate(self.blocks))]
