"""The class that a clip has after it is mirrored, or played backwards.

A mirrored swipe to the left is a swipe to the right, and opening a door backwards is closing it. Such clips are extra training
data for the other class (Price and Damen 2019, "Retro-Actions").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class LabelFlips:
    """The class that replaces each class, by index.

    A target is a class index, class indices [t] of the frames (negative without a label), or multi-hot [classes] floats.

    Args:
        mirror: the class of a mirrored clip (`Labels.mirrored`); None keeps all classes.
        reverse: the class of a clip played backwards (`Labels.reversed`), -1 for classes that are never reversed; None reverses
            no clip.
    """

    mirror: tuple[int, ...] | None = None
    reverse: tuple[int, ...] | None = None

    def mirrored(self, target: int | Tensor) -> int | Tensor:
        """The target of a mirrored clip."""
        return target if self.mirror is None else _replace_classes(target, torch.tensor(self.mirror))

    def maybe_backwards(
        self, clips: NDArray[np.uint8], target: int | Tensor, rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], int | Tensor]:
        """Reverses half of the clips [n t h w c]; only clips all of whose classes can be reversed."""
        if self.reverse is None or rng.random() < 0.5:
            return clips, target
        reverse = torch.tensor(self.reverse)
        if not isinstance(target, Tensor):
            present = torch.tensor([target])
        elif target.is_floating_point():
            present = target.nonzero().flatten()
        else:
            present = target[target >= 0]
        if (reverse[present] < 0).any():
            return clips, target
        flipped = _replace_classes(target, torch.where(reverse < 0, torch.arange(len(reverse)), reverse))
        if isinstance(flipped, Tensor) and not flipped.is_floating_point():
            flipped = flipped.flip(0)  # labels of frames are reversed with the frames
        return np.ascontiguousarray(clips[:, ::-1]), flipped


def _replace_classes(target: int | Tensor, replacement: Tensor) -> int | Tensor:
    if isinstance(target, Tensor) and target.is_floating_point():
        return target[replacement]  # replacements go both ways, so gathering is the same as scattering
    known = torch.as_tensor(target)
    replaced = torch.where(known < 0, known, replacement[known.clamp(min=0)])
    return replaced if isinstance(target, Tensor) else int(replaced)
