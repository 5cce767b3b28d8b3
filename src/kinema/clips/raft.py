"""RAFT (Teed and Deng 2020): optical flow by torchvision's network; it is used only if it is requested by name.

Its input sides must be at least 128 pixels and multiples of 8: frames are enlarged to that, and the flow is scaled back.
A pair takes about a second on a CPU, so it needs a GPU.
"""

from __future__ import annotations

import functools
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from kinema.errors import CheckpointError

NAMES = ("raft_small", "raft_large")

_MIN_SIDE_PX, _MULTIPLE = 128, 8


class Raft:
    """Measures the flow between frames.

    Args:
        name: "raft_small" or "raft_large".
        pretrained: download torchvision's weights; without them the flow is meaningless.
        device: None takes the GPU if there is one, except in a worker process, which cannot share it.

    Raises:
        CheckpointError: the weights cannot be downloaded.
    """

    def __init__(self, name: str, pretrained: bool = True, device: str | None = None) -> None:
        is_worker = torch.utils.data.get_worker_info() is not None
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() and not is_worker else "cpu"))
        self._network = _network(name, pretrained).to(self.device).eval()

    def __call__(self, previous: NDArray[np.uint8], following: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Flow [h w 2] in pixels between two frames [h w 3] uint8 RGB."""
        pair = [
            (torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None].float() / 127.5 - 1).to(self.device)
            for frame in (previous, following)
        ]
        height, width = previous.shape[:2]
        size = [_valid_side(height), _valid_side(width)]
        resized = [functional.interpolate(frame, size, mode="bilinear", align_corners=False) for frame in pair]
        with torch.inference_mode():
            found: Tensor = self._network(*resized)[-1]  # the last and best of its iterations
        back = functional.interpolate(found, [height, width], mode="bilinear", align_corners=False)[0]
        scale = torch.tensor([width / size[1], height / size[0]], device=self.device)
        return cast("NDArray[np.float32]", (back.permute(1, 2, 0) * scale).float().cpu().numpy())


@functools.cache
def shared(name: str) -> Raft:
    """The network of this name, loaded once per process."""
    return Raft(name)


def _valid_side(pixels: int) -> int:
    return max(_MIN_SIDE_PX, -(-pixels // _MULTIPLE) * _MULTIPLE)


def _network(name: str, pretrained: bool) -> nn.Module:
    from torchvision.models import optical_flow

    try:
        return getattr(optical_flow, name)(weights="DEFAULT" if pretrained else None, progress=False)
    except (OSError, RuntimeError) as error:
        do = "go online once, or use another method"
        raise CheckpointError(f"cannot download the weights of {name}", type(error).__name__, do) from error
