"""RAFT (Teed and Deng 2020): optical flow by a network, torchvision's; used where it is asked for by name.

It needs pictures of 128 pixels a side or more, in multiples of 8: smaller ones are enlarged and the flow is scaled
back. On a CPU a pair takes about a second: it is made for a GPU.
"""

from __future__ import annotations

import functools
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from kinema.errors import CheckpointError

NAMES = ("raft_small", "raft_large")

_LEAST, _MULTIPLE = 128, 8


class Raft:
    """Measures the flow between frames.

    Args:
        name: "raft_small" or "raft_large".
        pretrained: fetch torchvision's weights; without them the flow means nothing.
        device: None takes the GPU if there is one and this is no worker process, which cannot share it.

    Raises:
        CheckpointError: the weights cannot be fetched.
    """

    def __init__(self, name: str, pretrained: bool = True, device: str | None = None) -> None:
        self.device = torch.device(device or _free_device())
        self._network = _network(name, pretrained).to(self.device).eval()

    def __call__(self, previous: NDArray[np.uint8], following: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Two frames [h w 3] uint8 RGB to their flow [h w 2] in pixels."""
        pair = [_picture(frame).to(self.device) for frame in (previous, following)]
        height, width = previous.shape[:2]
        wide = [_enough(height), _enough(width)]
        grown = [functional.interpolate(frame, wide, mode="bilinear", align_corners=False) for frame in pair]
        with torch.inference_mode():
            found: Tensor = self._network(*grown)[-1]  # each of its rounds gives a better one
        back = functional.interpolate(found, [height, width], mode="bilinear", align_corners=False)[0]
        scale = torch.tensor([width / wide[1], height / wide[0]], device=self.device)
        return cast("NDArray[np.float32]", (back.permute(1, 2, 0) * scale).float().cpu().numpy())


@functools.cache
def shared(name: str) -> Raft:
    """The one of this process: a network is loaded once."""
    return Raft(name)


def _enough(pixels: int) -> int:
    return max(_LEAST, -(-pixels // _MULTIPLE) * _MULTIPLE)


def _picture(frame: NDArray[np.uint8]) -> Float[Tensor, "1 3 h w"]:
    """On the scale from -1 to 1 that the network learned from."""
    return torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None].float() / 127.5 - 1


def _free_device() -> str:
    alone = torch.utils.data.get_worker_info() is None
    return "cuda" if alone and torch.cuda.is_available() else "cpu"


def _network(name: str, pretrained: bool) -> nn.Module:
    from torchvision.models import optical_flow

    try:
        return getattr(optical_flow, name)(weights="DEFAULT" if pretrained else None, progress=False)
    except (OSError, RuntimeError) as error:
        do = "go online once, or use another method"
        raise CheckpointError(f"cannot fetch the weights of {name}", type(error).__name__, do) from error
