"""A clip: a run of frames that a network sees at once. The times travel with the pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Frames of one video and the moments at which they were shown.

    Args:
        frames: uint8 RGB, [t c h w].
        times_s: seconds from the start of the video, one a frame, [t].
    """

    frames: Tensor
    times_s: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or len(self.frames) != len(self.times_s):
            raise ValueError(
                f"a clip needs frames [t c h w] and one time each, got {self.frames.shape=}, {self.times_s.shape=}"
            )

    def __len__(self) -> int:
        return len(self.frames)
