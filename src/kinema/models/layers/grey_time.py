"""Three frames as the three colours of one picture (Kim et al. 2022, "Capturing Temporal Information in a Single Frame").

The paper calls it GrayST: of three frames only the brightness is kept, and the first is shown as red, the second as green,
the third as blue. What stands still stays grey; what moves has coloured edges, whose order says which way. A network of
pictures, with the weights that it has, so sees short motion, and three times as many frames for the same work.
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
    """Every three frames become one, normalised as colours are.

    Args:
        spec: the input of the whole network, RGB; `clip_len` is a multiple of three.

    Raises:
        ValueError: it sees optical flow, or a number of frames that three does not divide.
    """

    def __init__(self, spec: InputSpec) -> None:
        if spec.has_flow:
            raise ValueError("three frames are shown as colours of one in RGB only")
        if spec.clip_len % FRAMES:
            raise ValueError(f"clip_len={spec.clip_len}: three frames are shown as one; take a multiple of three")
        super().__init__()
        self.convolve: Callable[..., Tensor] = F.conv3d
        mean, std, share = (torch.tensor(values) for values in (spec.mean, spec.std, _BRIGHTNESS))
        weight = torch.zeros(FRAMES, 3, FRAMES, 1, 1)  # [colour that is shown, colour seen, frame, 1, 1]
        for frame in range(FRAMES):
            weight[frame, :, frame, 0, 0] = share * std / std[frame]
        self.weight: Tensor
        self.bias: Tensor
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("bias", ((share * mean).sum() - mean) / std, persistent=False)

    def forward(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c s h w"]:
        """Clips of a third of the frames."""
        return self.convolve(clip, self.weight, self.bias, stride=(FRAMES, 1, 1))


def colours_of(spec: InputSpec, grey_time: bool) -> nn.Module:
    """What a clip goes through before a network of pictures sees it."""
    return GreyTime(spec) if grey_time else nn.Identity()
