"""Crop, scale, rotate and recolour uint8 frames [t c h w], with the same change to all frames of a clip.

Optical flow, if there is any, is the last two channels; `num_flow` says so. It is cropped and scaled like the colours (its
values stay displacements in pixels of the size at which they were measured). Changes of colour leave it as it is.

Random numbers come from the given NumPy generator. Decoded frames [t h w c] need no copy: `frames.permute(0, 3, 1, 2)` is
the layout that torch resizes fastest.

Rotation and changes of colour are torchvision's, which takes as long to import as torch and is not needed for prediction.
It is imported at first use; training calls `load_torchvision` before it starts processes that would each import it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor, nn

from kinema.types import FLOW_ZERO
from kinema.video.contract import target_size

PixelSize = tuple[int, int]
"""Height and width in pixels."""
Frames = UInt8[Tensor, "t c _ _"]
"""Time, channels, height, width; height and width may change, the others never do."""


def load_torchvision() -> ModuleType:
    """Import `torchvision.transforms.v2`."""
    from torchvision.transforms import v2

    return v2


class Box(NamedTuple):
    """A rectangle of pixels."""

    top: int
    left: int
    height: int
    width: int


def resize(frames: Frames, size: int | PixelSize) -> Frames:
    """Resize with antialiasing: an int is the short side (the aspect ratio is kept), a pair is height and width."""
    height, width = frames.shape[-2:]
    size = target_size(height, width, size)
    if size == (height, width):
        return frames
    return F.interpolate(frames, size, mode="bilinear", antialias=True)


def cover(frames: Frames, size: PixelSize, short_side: int = 0) -> Frames:
    """Scale, keeping the aspect ratio, so that a crop of `size` fits; `short_side` is the minimum short side."""
    height, width = frames.shape[-2:]
    sides = ((size[0], height), (size[1], width), (short_side, min(height, width)))
    wanted, side = max(sides, key=lambda pair: pair[0] / pair[1])  # the one that needs the largest scale
    scaled = height * wanted // side, width * wanted // side
    return resize(frames, (max(scaled[0], size[0]), max(scaled[1], size[1])))


def crop(frames: Frames, box: Box) -> Frames:
    """A view of a box of the frames; nothing is copied."""
    return frames[..., box.top : box.top + box.height, box.left : box.left + box.width]


def center_crop(frames: Frames, size: PixelSize) -> Frames:
    """Crop the centre; frames smaller than that are scaled up first."""
    frames = cover(frames, size) if _too_small(frames, size) else frames
    height, width = frames.shape[-2:]
    return crop(frames, Box(_half(height - size[0]), _half(width - size[1]), *size))


def _half(margin: int) -> int:
    """Half of a margin, rounded to even as in torchvision's centre crop: 30 of 59, 28 of 57."""
    return round(margin / 2)


def random_crop(frames: Frames, size: PixelSize, rng: np.random.Generator) -> Frames:
    """Crop at a random position; frames smaller than that are scaled up first."""
    frames = cover(frames, size) if _too_small(frames, size) else frames
    height, width = frames.shape[-2:]
    top, left = rng.integers(height - size[0] + 1), rng.integers(width - size[1] + 1)
    return crop(frames, Box(int(top), int(left), *size))


def random_resized_crop(
    frames: Frames,
    size: PixelSize,
    rng: np.random.Generator,
    scale: tuple[float, float] = (0.4, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Frames:
    """Crop a box of random area and aspect ratio and scale it to `size` (Szegedy et al. 2015).

    `scale` is the minimum and maximum share of the frame's area, `ratio` the minimum and maximum aspect ratio (width /
    height), relative to that of `size`.
    """
    return resize(crop(frames, resized_crop_box(frames, size, rng, scale, ratio)), size)


def resized_crop_box(
    frames: Frames, size: PixelSize, rng: np.random.Generator, scale: tuple[float, float], ratio: tuple[float, float]
) -> Box:
    """The box that `random_resized_crop` takes."""
    height, width = frames.shape[-2:]
    area = height * width * rng.uniform(*scale)
    shape = math.exp(rng.uniform(*np.log(ratio))) * size[1] / size[0]
    return _random_box(height, width, area, shape, rng)


def three_crops(frames: Frames, size: PixelSize) -> UInt8[Tensor, "3 t c _ _"]:
    """Crops [3 t c h w]: left, centre and right of wide frames; top, centre and bottom of tall ones."""
    frames = cover(frames, size) if _too_small(frames, size) else frames
    down, across = frames.shape[-2] - size[0], frames.shape[-1] - size[1]
    wide = across >= down
    places = (0, _half(across), across) if wide else (0, _half(down), down)
    boxes = [Box(_half(down), at, *size) if wide else Box(at, _half(across), *size) for at in places]
    return torch.stack([crop(frames, box) for box in boxes])


def flip(frames: UInt8[Tensor, "*n c h w"], num_flow: int = 0) -> UInt8[Tensor, "*n c h w"]:
    """Flip left and right; the sign of horizontal flow changes with it."""
    flipped = frames.flip(-1)
    if num_flow:
        across = flipped[..., -num_flow, :, :]
        across.copy_(2 * FLOW_ZERO - across.clamp(min=1))  # a 0, which only JPEG makes, would become 256 and overflow
    return flipped


def rotate(frames: Frames, degrees: float, num_flow: int = 0) -> Frames:
    """Rotate frames about their centre, counter-clockwise on screen; the empty corners get the clip's mean colour.

    Flow rotates with the frames: motion to the right is motion upwards after a quarter turn.
    """
    fill = frames.float().mean(dim=(0, 2, 3)).round()
    fill[len(fill) - num_flow :] = FLOW_ZERO
    fill = fill[:, None, None]
    v2 = load_torchvision()
    # torchvision fills corners with zero; the fill is therefore subtracted before the rotation and added after it.
    rotated = v2.functional.rotate(frames.float() - fill, degrees, v2.InterpolationMode.BILINEAR)
    if num_flow:
        across, down = rotated[:, -num_flow:].unbind(dim=1)
        cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        rotated[:, -num_flow:] = torch.stack([cosine * across + sine * down, cosine * down - sine * across], dim=1)
    return cast(Frames, (rotated + fill).round().clamp(0, 255).to(torch.uint8))


def on_colours(frames: Frames, num_flow: int, change: Callable[[Frames], Frames]) -> Frames:
    """Apply a change to the RGB channels only; frames of flow alone stay as they are."""
    if not num_flow:
        return change(frames)
    if frames.shape[1] == num_flow:
        return frames
    return torch.cat([change(frames[:, :-num_flow]), frames[:, -num_flow:]], dim=1)


def color_jitter(frames: Frames, rng: np.random.Generator, strength: float) -> Frames:
    """Change brightness, contrast and saturation of frames [t 3 h w] in random order; the hue stays.

    A `strength` of 0.4 draws factors between 0.6 and 1.4.
    """
    v2f = load_torchvision().functional
    changes = (v2f.adjust_brightness, v2f.adjust_contrast, v2f.adjust_saturation)
    factors = rng.uniform(max(0.0, 1 - strength), 1 + strength, len(changes))
    for which in rng.permutation(len(changes)):
        frames = changes[which](frames, float(factors[which]))
    return frames


@functools.cache
def _colour_augment() -> type[nn.Module]:
    """RandAugment without the operations that move pixels, which would no longer match the optical flow."""
    whole = load_torchvision().RandAugment
    moving = ("Shear", "Translate", "Rotate")
    space = {name: levels for name, levels in whole._AUGMENTATION_SPACE.items() if not name.startswith(moving)}
    return type("ColourAugment", (whole,), {"_AUGMENTATION_SPACE": space})


def rand_augment(
    frames: Frames, rng: np.random.Generator, magnitude: int = 9, num_ops: int = 2, *, colours_only: bool = False
) -> Frames:
    """Apply `num_ops` of RandAugment's 14 operations (Cubuk et al. 2020) in turn, the same to all frames [t 3 h w].

    `magnitude` is their strength, 0 to 30. `colours_only` leaves out the five operations that shear, shift or rotate.
    torchvision draws from torch's global generator, so that is seeded from `rng` for the call and restored afterwards.
    """
    augment = _colour_augment() if colours_only else load_torchvision().RandAugment
    change = augment(num_ops=num_ops, magnitude=magnitude)
    state = torch.get_rng_state()
    try:
        torch.default_generator.manual_seed(int(rng.integers(2**31)))
        return cast(Frames, change(frames))
    finally:
        torch.set_rng_state(state)


def random_erasing(
    frames: Frames,
    rng: np.random.Generator,
    probability: float,
    scale: tuple[float, float] = (0.02, 0.33),
    num_flow: int = 0,
) -> Frames:
    """Cover one box with the clip's mean colour, in flow with no motion (Zhong et al. 2020); it is the same in all frames.

    `probability` is that of covering a box at all, `scale` the box's minimum and maximum share of the area.
    """
    if rng.random() >= probability:
        return frames
    height, width = frames.shape[-2:]
    area, shape = height * width * rng.uniform(*scale), math.exp(rng.uniform(math.log(0.3), math.log(1 / 0.3)))
    box = _random_box(height, width, area, shape, rng)
    erased = frames.clone()
    mean = frames.float().mean(dim=(0, 2, 3), keepdim=True)[0]
    mean[len(mean) - num_flow :] = FLOW_ZERO
    crop(erased, box)[:] = mean.round().to(torch.uint8)
    return erased


def _random_box(height: int, width: int, area: float, shape: float, rng: np.random.Generator) -> Box:
    """A box of about this area and aspect ratio (width / height) at a random position in a frame."""
    box_height = min(max(round(math.sqrt(area / shape)), 1), height)
    box_width = min(max(round(math.sqrt(area * shape)), 1), width)
    top, left = rng.integers(height - box_height + 1), rng.integers(width - box_width + 1)
    return Box(int(top), int(left), box_height, box_width)


def _too_small(frames: Frames, size: PixelSize) -> bool:
    return frames.shape[-2] < size[0] or frames.shape[-1] < size[1]
