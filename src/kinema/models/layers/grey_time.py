"""Three frames as the three colours of one image (Kim et al. 2022, "Capturing Temporal Information in a Single Frame").

The paper calls it GrayST: the brightness of three frames becomes red, green and blue of one image. Still parts stay grey;
moving edges get colours, whose order shows the direction. A pretrained 2-D network thus sees short motion, and three times
as many frames at the same cost.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from kinema.types import InputSpec

FRAMES = 3
_BRIGHTNESS = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601


class GreyTime(nn.Module):
    """Turns every three frames into one, normalised like an RGB image.

    Args:
        spec: the input of the whole network, RGB; `clip_len` is a multiple of three.

    Raises:
        ValueError: the input has optical flow, or a number of frames that is no multiple of three.
    """

    def __init__(self, spec: InputSpec) -> None:
        if spec.has_flow:
            raise ValueError("grey_time needs RGB without optical flow")
        if spec.clip_len % FRAMES:
            raise ValueError(f"clip_len={spec.clip_len}: grey_time needs a multiple of three")
        super().__init__()
        self.convolve: Callable[..., Tensor] = F.conv3d
        mean, std, share = (torch.tensor(values) for values in (spec.mean, spec.std, _BRIGHTNESS))
        weight = torch.zeros(FRAMES, 3, FRAMES, 1, 1)  # [output colour, input colour, frame, 1, 1]
        for frame in range(FRAMES):
            weight[frame, :, frame, 0, 0] = share * std / std[frame]
        self.weight: Tensor
        self.bias: Tensor
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("bias", ((share * mean).sum() - mean) / std, persistent=False)

    def forward(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c s h w"]:
        """Clips with a third of the frames."""
        return self.convolve(clip, self.weight, self.bias, stride=(FRAMES, 1, 1))


def colours_of(spec: InputSpec, grey_time: bool) -> nn.Module:
    """The first layer of a network with the option `grey_time`: `GreyTime` or nothing."""
    return GreyTime(spec) if grey_time else nn.Identity()
