"""Turn decoded frames into network inputs: random augmentation for training, fixed views for evaluation, normalisation.

Clips are uint8 up to `normalize`, which comes last, on a whole batch; the operations on pixels are in `pixels`. The
preset `karpathy` follows Karpathy et al. 2014: the centre region at 200 x 200, a random crop of 170 x 170, flipped with
probability 0.5 (other sizes in proportion).

Optical flow (`kinema.clips.flow`) is cropped, scaled and flipped with its frame. Changes of colour leave it as it is, and
RandAugment leaves out the operations that move pixels if there is flow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from kinema.clips import pixels
from kinema.clips.pixels import Frames, PixelSize, center_crop, cover, flip, resize, three_crops
from kinema.errors import UnknownName, UsageError
from kinema.types import InputSpec

TrainTransform = Callable[[Tensor, np.random.Generator], Tensor]
ViewTransform = Callable[[Tensor], Tensor]
Size = int | PixelSize | None

_MARGIN = 8 / 7
"""A random crop is taken from a frame larger by this factor, as 224 of 256."""
_KARPATHY_MARGIN = 200 / 170


@dataclass(frozen=True, kw_only=True)
class Augment:
    """Random augmentation of training clips; all frames of a clip are changed alike.

    Args:
        crop: "random_resized" takes a box of random area and aspect ratio, "random" one at a random position, "center" the
            centre.
        scale: for "random_resized", minimum and maximum share of the area.
        ratio: for "random_resized", minimum and maximum aspect ratio (width / height).
        flip: probability of a horizontal flip; 0 if left and right tell classes apart.
        rotate: maximum rotation in degrees, either way.
        time_scale: for spread clips, the minimum share of the video's duration that a clip covers.
        jitter: maximum relative change of brightness, contrast and saturation.
        rand_augment: RandAugment's magnitude, 0 to 30; 0 is off.
        erase: probability of covering a box.
        short_sides: for "random", minimum and maximum short side in pixels before the crop; None is 8/7 of the crop.
        center_first: for "random", take the largest centre region of the crop's aspect ratio first.
    """

    crop: Literal["random_resized", "random", "center"] = "random_resized"
    scale: tuple[float, float] = (0.4, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    rotate: float = 0.0
    time_scale: float = 1.0
    jitter: float = 0.0
    rand_augment: int = 0
    erase: float = 0.0
    short_sides: tuple[int, int] | None = None
    center_first: bool = False

    def __post_init__(self) -> None:
        shares = (self.flip, self.erase, self.jitter, self.time_scale, self.rotate / 180)
        if not (all(0 <= share <= 1 for share in shares) and 0 <= self.rand_augment <= 30 and self.time_scale):
            raise ValueError(f"out of range: {self}")
        if self.crop not in ("random_resized", "random", "center"):
            raise ValueError(f"unknown {self.crop=}")


PRESETS: dict[str, Augment] = {
    "none": Augment(crop="center", flip=0.0),
    "light": Augment(crop="random"),
    "standard": Augment(jitter=0.2),
    "strong": Augment(scale=(0.25, 1.0), jitter=0.4, rand_augment=9, erase=0.25),
    "karpathy": Augment(crop="random", center_first=True),
}


def preset(name: str, *, flip: float | None = None) -> Augment:
    """The augmentation of a name, with another `flip` if that is given (0 switches it off).

    Raises:
        UnknownName: no such preset.
    """
    if name not in PRESETS:
        raise UnknownName("augmentation", name, PRESETS)
    return PRESETS[name] if flip is None else replace(PRESETS[name], flip=flip)


def train_transform(augment: Augment, spec: InputSpec) -> TrainTransform:
    """The function that augments a training clip: uint8 [t c h w] and a generator -> uint8 [c t h w] of `spec.size`."""
    cut, num_flow = _cropper(augment, spec), _num_flow(spec)
    if augment.rotate or augment.jitter or augment.rand_augment:
        pixels.load_torchvision()

    def recolour(frames: Frames, rng: np.random.Generator) -> Frames:
        if augment.rand_augment:
            frames = pixels.rand_augment(frames, rng, augment.rand_augment, colours_only=num_flow > 0)
        return pixels.color_jitter(frames, rng, augment.jitter) if augment.jitter else frames

    def transform(frames: Frames, rng: np.random.Generator) -> UInt8[Tensor, "c t _ _"]:
        if augment.rotate:
            frames = pixels.rotate(frames, float(rng.uniform(-augment.rotate, augment.rotate)), num_flow)
        frames = cut(frames, rng)
        if rng.random() < augment.flip:
            frames = pixels.flip(frames, num_flow)
        frames = pixels.on_colours(frames, num_flow, lambda colours: recolour(colours, rng))
        if augment.erase:
            frames = pixels.random_erasing(frames, rng, augment.erase, num_flow=num_flow)
        return frames.transpose(0, 1).contiguous()

    return transform


def decode_size(spec: InputSpec, train: bool, augment: Augment | None = None) -> Size:
    """The size at which to decode frames, so that the decoder scales them down: the short side, or height and width.

    Optical flow is measured at the same size in training and evaluation (the larger of 8/7 of the input and its short
    side), because a displacement in pixels depends on the size. Otherwise, the random crops of `augment` in
    training need a larger frame than the network sees.
    """
    if spec.has_flow:
        room = round(spec.size[0] * _MARGIN), round(spec.size[1] * _MARGIN)
        return room if spec.resize == "stretch" else _before_crop(spec, max(*room, spec.short_side))
    if not train or augment is None or augment.crop == "center":
        return spec.size if spec.resize == "stretch" else _before_crop(spec, max(*spec.size, _usual_side(spec)))
    room = _room_size(spec, augment)
    return room if spec.resize == "stretch" else _before_crop(spec, max(*(augment.short_sides or room), *spec.size))


def _usual_side(spec: InputSpec) -> int:
    """Short side in pixels before the crop in evaluation."""
    return min(spec.squeezed) if spec.squeezed else spec.short_side


def _before_crop(spec: InputSpec, short_side: int) -> int | PixelSize:
    """A short side, or height and width if frames are squeezed."""
    return short_side if spec.squeezed is None else _squeezed(spec.squeezed, spec.size, short_side)


def _squeezed(shape: PixelSize, room: PixelSize, short_side: int) -> PixelSize:
    """Scale `shape` so that it holds `room` and its short side is at least `short_side`."""
    scale = max(short_side / min(shape), room[0] / shape[0], room[1] / shape[1])
    return round(shape[0] * scale), round(shape[1] * scale)


def normalize(clips: UInt8[Tensor, "*b c t h w"], spec: InputSpec) -> Float[Tensor, "*b c t h w"]:
    """Convert uint8 [... c t h w] to float32, subtract the mean and divide by the standard deviation."""
    mean, std = (
        torch.tensor(values, dtype=torch.float32, device=clips.device).mul(255).view(-1, 1, 1, 1)
        for values in (spec.mean, spec.std)
    )
    return clips.to(torch.float32).sub_(mean).div_(std)


def view_transform(spec: InputSpec, num_crops: int = 1, flips: bool = False) -> ViewTransform:
    """The function that makes the views of an evaluation clip: uint8 [t c h w] -> uint8 [v c t h w], v = crops x flips.

    Raises:
        UsageError: a number of crops other than 1 and 3, or three crops for a network that sees the whole frame squeezed.
    """
    if num_crops not in (1, 3):
        raise UsageError("a clip has 1 or 3 crops", num_crops, "use 1 or 3")
    if num_crops == 3 and spec.resize == "stretch":
        raise UsageError("cannot take 3 crops", "this network sees the whole frame, squeezed", "use 1 crop")

    def view(frames: Frames) -> UInt8[Tensor, "v c t _ _"]:
        if spec.resize == "stretch":
            views = resize(frames, spec.size)[None]
        else:
            scaled = _scaled(frames, spec, spec.size, _usual_side(spec))
            views = center_crop(scaled, spec.size)[None] if num_crops == 1 else three_crops(scaled, spec.size)
        views = torch.cat([views, flip(views, _num_flow(spec))]) if flips else views
        return views.transpose(1, 2).contiguous()

    return view


def _num_flow(spec: InputSpec) -> int:
    return 2 if spec.has_flow else 0


def _cropper(augment: Augment, spec: InputSpec) -> TrainTransform:
    if augment.crop == "random_resized":
        return lambda frames, rng: pixels.random_resized_crop(frames, spec.size, rng, augment.scale, augment.ratio)
    if augment.crop == "random":
        return lambda frames, rng: pixels.random_crop(_room(frames, augment, spec, rng), spec.size, rng)
    view = view_transform(spec)
    return lambda frames, rng: view(frames)[0].transpose(0, 1)


def _room(frames: Frames, augment: Augment, spec: InputSpec, rng: np.random.Generator) -> Frames:
    """Frames from which the random crop is taken, somewhat larger than it."""
    room = _room_size(spec, augment)
    if spec.resize == "stretch":
        return resize(frames, room)
    if augment.center_first:
        return center_crop(_scaled(frames, spec, room), room)
    shortest, longest = augment.short_sides or (min(room), min(room))
    return _scaled(frames, spec, spec.size, int(rng.integers(shortest, longest + 1)))


def _room_size(spec: InputSpec, augment: Augment) -> PixelSize:
    margin = _KARPATHY_MARGIN if augment.center_first else _MARGIN
    return round(spec.size[0] * margin), round(spec.size[1] * margin)


def _scaled(frames: Frames, spec: InputSpec, room: PixelSize, short_side: int = 0) -> Frames:
    """Scale frames so that `room` fits into them, with the aspect ratio that the network expects."""
    if spec.squeezed is None:
        return cover(frames, room, short_side)
    return resize(frames, _squeezed(spec.squeezed, room, short_side))
