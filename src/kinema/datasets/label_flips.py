"""What classes turn into when a clip is mirrored, or played backwards.

A swipe to the left is one to the right in the mirror, and opening a door backwards is closing it: such clips teach as much
as the films they come from, under the other's name (Price and Damen 2019, "Retro-Actions").
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
class Turns:
    """The class that each class turns into, by index.

    Targets are an index, the indices [t] of steps (negative without a label), or multi-hot [classes] floats.

    Args:
        mirror: in a mirrored clip (`Labels.mirrored`); None is itself.
        reverse: in a clip played backwards (`Labels.reversed`), -1 for classes that are never played so; None is all.
    """

    mirror: tuple[int, ...] | None = None
    reverse: tuple[int, ...] | None = None

    def mirrored(self, target: int | Tensor) -> int | Tensor:
        """The target of a clip when it is mirrored."""
        return target if self.mirror is None else _turned(target, torch.tensor(self.mirror))

    def maybe_backwards(
        self, clips: NDArray[np.uint8], target: int | Tensor, rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], int | Tensor]:
        """Half of the clips [n t h w c] backwards, if it is known what all that they show turns into."""
        if self.reverse is None or rng.random() < 0.5:
            return clips, target
        into = torch.tensor(self.reverse)
        if (into[_classes(target)] < 0).any():
            return clips, target
        turned = _turned(target, torch.where(into < 0, torch.arange(len(into)), into))
        if isinstance(turned, Tensor) and not turned.is_floating_point():
            turned = turned.flip(0)
        return np.ascontiguousarray(clips[:, ::-1]), turned


def _classes(target: int | Tensor) -> Tensor:
    """The classes in a target."""
    if not isinstance(target, Tensor):
        return torch.tensor([target])
    return target.nonzero().flatten() if target.is_floating_point() else target[target >= 0]


def _turned(target: int | Tensor, into: Tensor) -> int | Tensor:
    if isinstance(target, Tensor) and target.is_floating_point():
        return target[into]
    known = torch.as_tensor(target)
    turned = torch.where(known < 0, known, into[known.clamp(min=0)])
    return turned if isinstance(target, Tensor) else int(turned)
