"""Cutting, scaling and colouring uint8 frames [t c h w], with the same change to all frames of a clip.

Where there is optical flow, it is the last two channels: `num_flow` says so. It is cut and scaled as the colours are (its
values stay displacements in pixels of the size at which they were measured); what changes colours leaves it alone.

Draws come from the numpy generator given. Frames that come from a decoder as [t h w c] need no copy:
`frames.permute(0, 3, 1, 2)` is the layout torch resizes fastest.

Turning and colouring are torchvision's, which takes as long to import as torch and is not needed to predict: it is loaded
when it is first used, in training by `load_torchvision`, before processes are started that would each load it again.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from kinema.types import FLOW_ZERO

PixelSize = tuple[int, int]
"""Height and width in pixels."""
Frames = UInt8[Tensor, "t c _ _"]
"""Time, channels, height, width; height and width may change, the others never do."""


def load_torchvision() -> Any:
    """The changes of pictures that torchvision makes, `torchvision.transforms.v2`."""
    from torchvision.transforms import v2

    return v2


class Box(NamedTuple):
    """A rectangle of pixels."""

    top: int
    left: int
    height: int
    width: int


def resize(frames: Frames, size: int | PixelSize) -> Frames:
    """Scale: an int is the short side (the shape is kept), a pair is height and width."""
    height, width = frames.shape[-2:]
    if isinstance(size, int):
        size = _scaled(height, width, size / min(height, width))
    if size == (height, width):
        return frames
    return F.interpolate(frames, size, mode="bilinear", antialias=True)


def cover(frames: Frames, size: PixelSize, short_side: int = 0) -> Frames:
    """Scale, keeping the shape, so that a crop of `size` fits; `short_side` is the least short side."""
    height, width = frames.shape[-2:]
    scale = max(size[0] / height, size[1] / width, short_side / min(height, width))
    scaled = _scaled(height, width, scale)
    return resize(frames, (max(scaled[0], size[0]), max(scaled[1], size[1])))


def crop(frames: Frames, box: Box) -> Frames:
    """Cut out a box; a view, nothing is copied."""
    return frames[..., box.top : box.top + box.height, box.left : box.left + box.width]


def center_crop(frames: Frames, size: PixelSize) -> Frames:
    """Cut the middle; smaller frames are scaled up first."""
    frames = cover(frames, size) if _too_small(frames, size) else frames
    height, width = frames.shape[-2:]
    return crop(frames, Box(_half(height - size[0]), _half(width - size[1]), *size))


def _half(margin: int) -> int:
    """Pixels above or left of the middle; of 59 it is 30, of 57 28, as torchvision's centre crop has it."""
    return round(margin / 2)


def random_crop(frames: Frames, size: PixelSize, rng: np.random.Generator) -> Frames:
    """Cut anywhere; smaller frames are scaled up first."""
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
    """Cut a part of random area and shape and scale it to `size` (Szegedy et al. 2015).

    Args:
        frames: uint8 [t c h w].
        size: height and width of the result.
        rng: where the part is drawn from.
        scale: least and greatest share of the frame's area.
        ratio: least and greatest width by height, relative to that of `size`.
    """
    height, width = frames.shape[-2:]
    area = height * width * rng.uniform(*scale)
    shape = math.exp(rng.uniform(*np.log(ratio))) * size[1] / size[0]
    part_height = min(max(round(math.sqrt(area / shape)), 1), height)
    part_width = min(max(round(math.sqrt(area * shape)), 1), width)
    top, left = rng.integers(height - part_height + 1), rng.integers(width - part_width + 1)
    return resize(crop(frames, Box(int(top), int(left), part_height, part_width)), size)


def three_crops(frames: Frames, size: PixelSize) -> UInt8[Tensor, "3 t c _ _"]:
    """Left, middle and right of wide frames (top, middle and bottom of tall ones), [3 t c h w]."""
    frames = cover(frames, size) if _too_small(frames, size) else frames
    down, across = frames.shape[-2] - size[0], frames.shape[-1] - size[1]
    wide = across >= down
    places = (0, _half(across), across) if wide else (0, _half(down), down)
    boxes = [Box(_half(down), at, *size) if wide else Box(at, _half(across), *size) for at in places]
    return torch.stack([crop(frames, box) for box in boxes])


def flip(frames: UInt8[Tensor, "*n c h w"], num_flow: int = 0) -> UInt8[Tensor, "*n c h w"]:
    """Left becomes right; what moved to the right moves to the left."""
    turned = frames.flip(-1)
    if num_flow:
        across = turned[..., -num_flow, :, :]
        across.copy_(2 * FLOW_ZERO - across.clamp(min=1))  # 256 does not fit, 1 to 255 all do
    return turned


def rotate(frames: Frames, degrees: float, num_flow: int = 0) -> Frames:
    """Turn the picture about its middle, counter-clockwise as seen; corners that were not seen show the clip's mean colour.

    Flow turns with it: what moved to the right moves up after a quarter turn.

    Args:
        frames: uint8 [t c h w].
        degrees: the angle.
        num_flow: channels of flow.
    """
    beyond = frames.float().mean(dim=(0, 2, 3)).round()
    beyond[len(beyond) - num_flow :] = FLOW_ZERO
    beyond = beyond[:, None, None]
    v2 = load_torchvision()
    turned = v2.functional.rotate(
        frames.float() - beyond, degrees, v2.InterpolationMode.BILINEAR
    )  # zero beyond the edges
    if num_flow:
        across, down = turned[:, -num_flow:].unbind(dim=1)
        cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        turned[:, -num_flow:] = torch.stack([cosine * across + sine * down, cosine * down - sine * across], dim=1)
    return cast(Frames, (turned + beyond).round().clamp(0, 255).to(torch.uint8))


def on_colours(frames: Frames, num_flow: int, change: Callable[[Frames], Frames]) -> Frames:
    """Change the RGB channels alone; where there is nothing but flow, nothing."""
    if not num_flow:
        return change(frames)
    if frames.shape[1] == num_flow:
        return frames
    return torch.cat([change(frames[:, :-num_flow]), frames[:, -num_flow:]], dim=1)


def color_jitter(frames: Frames, rng: np.random.Generator, strength: float) -> Frames:
    """Change brightness, contrast and saturation by up to `strength` each; the hue stays.

    Args:
        frames: uint8 [t 3 h w].
        rng: where the changes and their order are drawn from.
        strength: 0.4 draws factors between 0.6 and 1.4.
    """
    v2f = load_torchvision().functional
    changes = (v2f.adjust_brightness, v2f.adjust_contrast, v2f.adjust_saturation)
    factors = rng.uniform(max(0.0, 1 - strength), 1 + strength, len(changes))
    for which in rng.permutation(len(changes)):
        frames = changes[which](frames, float(factors[which]))
    return frames


@functools.cache
def _colour_augment() -> Any:
    """RandAugment without the changes that move pixels: optical flow beside them would no longer fit."""
    whole = load_torchvision().RandAugment
    moving = ("Shear", "Translate", "Rotate")
    space = {name: how for name, how in whole._AUGMENTATION_SPACE.items() if not name.startswith(moving)}
    return type("ColourAugment", (whole,), {"_AUGMENTATION_SPACE": space})


def rand_augment(
    frames: Frames, rng: np.random.Generator, magnitude: int = 9, num_ops: int = 2, *, colours_only: bool = False
) -> Frames:
    """Apply `num_ops` of RandAugment's fourteen changes (Cubuk et al. 2020), the same to all frames.

    torchvision draws from torch's global generator: it is seeded from `rng` for the call and put back as it was.

    Args:
        frames: uint8 [t 3 h w].
        rng: where the changes are drawn from.
        magnitude: strength, 0 to 30.
        num_ops: how many changes one after the other.
        colours_only: leave out the five that shear, shift or turn.
    """
    change = (_colour_augment() if colours_only else load_torchvision().RandAugment)(
        num_ops=num_ops, magnitude=magnitude
    )
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
    """Cover one box with the clip's mean colour (Zhong et al. 2020), the same box in all frames; in flow it stands still.

    Args:
        frames: uint8 [t c h w].
        rng: where the box is drawn from.
        probability: how often it happens.
        scale: least and greatest share of the area.
        num_flow: channels of flow.
    """
    if rng.random() >= probability:
        return frames
    height, width = frames.shape[-2:]
    area, shape = height * width * rng.uniform(*scale), math.exp(rng.uniform(math.log(0.3), math.log(1 / 0.3)))
    box_height = min(max(round(math.sqrt(area / shape)), 1), height)
    box_width = min(max(round(math.sqrt(area * shape)), 1), width)
    top, left = rng.integers(height - box_height + 1), rng.integers(width - box_width + 1)
    erased = frames.clone()
    mean = frames.float().mean(dim=(0, 2, 3), keepdim=True)[0]
    mean[len(mean) - num_flow :] = FLOW_ZERO
    crop(erased, Box(int(top), int(left), box_height, box_width))[:] = mean.round().to(torch.uint8)
    return erased


def _scaled(height: int, width: int, scale: float) -> PixelSize:
    return max(round(height * scale), 1), max(round(width * scale), 1)


def _too_small(frames: Frames, size: PixelSize) -> bool:
    return frames.shape[-2] < size[0] or frames.shape[-1] < size[1]
