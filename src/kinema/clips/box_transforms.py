"""Random changes of training clips that change the boxes of persons too: scale, crop, flip; and changes of colour."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from kinema.clips import pixels
from kinema.clips.pixels import Box, Frames
from kinema.clips.transforms import Augment
from kinema.types import InputSpec

LEAST_SEEN = 0.3
"""Share of a box that a crop must keep; other boxes are left out."""


def transform_with_boxes(
    frames: UInt8[Tensor, "t c h w"],
    boxes: NDArray[np.float64],
    augment: Augment,
    spec: InputSpec,
    rng: np.random.Generator,
) -> tuple[UInt8[Tensor, "c t _ _"], Float[Tensor, "m 4"], NDArray[np.int64]]:
    """Change a training clip and its boxes alike.

    Args:
        frames: whole frames.
        boxes: left, top, right, bottom [n 4] as shares of the frame.
        augment: what is changed; a rotation is not possible.
        spec: its `size` is that of the result.
        rng: of everything that is random.

    Returns:
        the clip of `spec.size`, the boxes that are still in it in its pixels, and their places among the given ones.
    """
    frames, cut = _cut(frames, augment, spec, rng)
    (height, width), (rows, columns) = frames.shape[-2:], spec.size
    clip = pixels.resize(pixels.crop(frames, cut), spec.size)
    scale, shift = np.array([columns / cut.width, rows / cut.height]), np.array([cut.left, cut.top])
    moved = ((boxes.reshape(-1, 2, 2) * (width, height) - shift) * scale).reshape(-1, 4)
    if rng.random() < augment.flip:
        clip = pixels.flip(clip)
        moved = np.stack([columns - moved[:, 2], moved[:, 1], columns - moved[:, 0], moved[:, 3]], axis=1)
    inside = moved.clip(0, (columns, rows, columns, rows))
    seen = _areas(inside) / np.maximum(_areas(moved), 1e-9)
    kept = np.flatnonzero(seen >= LEAST_SEEN)
    if augment.rand_augment:
        clip = pixels.rand_augment(clip, rng, augment.rand_augment, colours_only=True)
    clip = pixels.color_jitter(clip, rng, augment.jitter) if augment.jitter else clip
    clip = pixels.random_erasing(clip, rng, augment.erase) if augment.erase else clip
    return clip.transpose(0, 1).contiguous(), torch.from_numpy(inside[kept]).float(), kept


def _cut(frames: Frames, augment: Augment, spec: InputSpec, rng: np.random.Generator) -> tuple[Frames, Box]:
    """Frames, scaled if they must be, and the box of them that the clip shows."""
    if augment.crop == "random_resized":
        return frames, pixels.resized_crop_box(frames, spec.size, rng, augment.scale, augment.ratio)
    if spec.resize == "stretch":
        side = 8 / 7 if augment.crop == "random" else 1
        frames = pixels.resize(frames, (round(spec.size[0] * side), round(spec.size[1] * side)))
    else:
        shortest, longest = augment.short_sides or (min(spec.size), min(spec.size))
        frames = pixels.cover(frames, spec.size, int(rng.integers(shortest, longest + 1)))
    down, across = frames.shape[-2] - spec.size[0], frames.shape[-1] - spec.size[1]
    if augment.crop == "random":
        return frames, Box(int(rng.integers(down + 1)), int(rng.integers(across + 1)), *spec.size)
    return frames, Box(down // 2, across // 2, *spec.size)


def _areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
