"""Synthetic clips for training and tests: motions that no single frame reveals, appearances that a single frame does.

Every motion clip shows a textured object on a textured background. Position, angle and size of the object have the same
distributions in all classes and in every frame; only how one of them changes over time tells the class. Positions wrap
around at the border, angles after a full turn, and sizes from the largest to the smallest, so that the first and the
last frame reveal nothing either.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinema.errors import UnknownName

Clip = NDArray[np.uint8]
Floats = NDArray[np.float32]

MOTIONS = ("left", "right", "up", "down", "clockwise", "counterclockwise", "grow", "shrink")
SHAPES = ("disc", "ring")
COLOURS = {"red": (215, 45, 40), "green": (40, 185, 60), "blue": (45, 75, 220), "yellow": (225, 205, 40)}
APPEARANCES = tuple(f"{colour}_{shape}" for colour in COLOURS for shape in SHAPES)

_SMALLEST, _LARGEST = 0.20, 0.40  # radius of the object, relative to the shorter side
_TEXTURE = 32  # texels along a side of the object's texture


@dataclass(frozen=True, slots=True)
class Path:
    """The object over time, each [t] and 0 to 1: its centre, its angle in turns, its size from smallest to largest."""

    row: Floats
    column: Floats
    angle: Floats
    size: Floats


def draw_motion(
    label: str,
    rng: np.random.Generator,
    num_frames: int = 24,
    size: tuple[int, int] = (48, 48),
    laps: float = 1.0,
    *,
    shares: Floats | None = None,
    background: Floats | None = None,
) -> Clip:
    """Draw a clip [t h w c] uint8 RGB of one of `MOTIONS`, named as seen on screen.

    Args:
        label: the motion.
        rng: random generator for everything else.
        num_frames: t.
        size: height and width.
        laps: 1 moves through 0.6 to 0.95 of the full range; 2 gives the same speed in a clip of twice the length.
        shares: [t] how much of the motion each frame has seen, 0 to 1; None spreads `num_frames` evenly.
        background: [h w c] or [t h w c] what the object moves over; None draws one.

    Raises:
        UnknownName: no such motion.
    """
    if label not in MOTIONS:
        raise UnknownName("motion", label, MOTIONS)
    path = path_of(label, rng, num_frames, laps, shares)
    texture = _noise(rng, (5, 5), (_TEXTURE, _TEXTURE)) * 110 + rng.uniform(70, 185, 3).astype(np.float32)
    across, down = _inside(path, size)
    inside = np.clip(4 * (1 - across**2 - (down / 0.72) ** 2), 0, 1)  # an ellipse, so that its angle is visible
    return _draw(texture, across, down, inside, draw_background(rng, size) if background is None else background)


def draw_appearance(
    label: str, rng: np.random.Generator, num_frames: int = 24, size: tuple[int, int] = (48, 48)
) -> Clip:
    """Draw a clip [t h w c] uint8 RGB of one of `APPEARANCES` in random motion; a single frame reveals the label.

    Raises:
        UnknownName: no such appearance.
    """
    if label not in APPEARANCES:
        raise UnknownName("appearance", label, APPEARANCES)
    colour, shape = label.split("_")
    path = path_of(str(rng.choice(MOTIONS)), rng, num_frames)
    texture = _noise(rng, (5, 5), (_TEXTURE, _TEXTURE)) * 25 + np.array(COLOURS[colour], np.float32)
    across, down = _inside(path, size)
    grey = np.repeat(draw_background(rng, size).mean(axis=2, keepdims=True), 3, axis=2)
    distance = np.hypot(across, down)
    if shape == "ring":
        distance = np.abs(distance - 0.78) * 3.6
    return _draw(texture, across, down, np.clip(4 * (1 - distance), 0, 1), grey)


def path_of(
    label: str, rng: np.random.Generator, num_frames: int, laps: float = 1.0, shares: Floats | None = None
) -> Path:
    """Draw position, angle and size at random, and change the one that the motion names over time; see `draw_motion`."""
    row, column, angle, scale = rng.random(4)
    evenly = np.arange(num_frames, dtype=np.float32) / max(num_frames - 1, 1)
    passed = (evenly if shares is None else shares) * (laps * rng.uniform(0.6, 0.95))
    sign = 1 if label in ("right", "down", "clockwise", "grow") else -1
    changing = {"left": "column", "right": "column", "up": "row", "down": "row", "grow": "size", "shrink": "size"}
    moved = (passed * sign).astype(np.float32)
    still = np.zeros_like(moved)
    change = changing.get(label, "angle")
    values = {
        name: (start + (moved if name == change else still)) % 1
        for name, start in {"row": row, "column": column, "angle": angle, "size": scale}.items()
    }
    return Path(**{name: value.astype(np.float32) for name, value in values.items()})


def _inside(path: Path, size: tuple[int, int]) -> tuple[Floats, Floats]:
    """Coordinates on the object, across and down, each [t h w]: 0 at its centre, about 1 at its border."""
    height, width = size
    radius = min(size) * _SMALLEST * (_LARGEST / _SMALLEST) ** path.size[:, None]
    y = (np.arange(height, dtype=np.float32) - path.row[:, None] * height + height / 2) % height - height / 2
    x = (np.arange(width, dtype=np.float32) - path.column[:, None] * width + width / 2) % width - width / 2
    y, x = (y / radius)[:, :, None].astype(np.float32), (x / radius)[:, None, :].astype(np.float32)
    angle = (2 * np.pi * path.angle)[:, None, None]
    cos, sin = np.cos(angle, dtype=np.float32), np.sin(angle, dtype=np.float32)
    return x * cos + y * sin, y * cos - x * sin


def draw_background(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """A textured background [h w c], dark enough that objects are seen."""
    return _noise(rng, (6, 6), size) * 12 + rng.uniform(40, 80, 3).astype(np.float32)


def _draw(texture: Floats, across: Floats, down: Floats, inside: Floats, background: Floats) -> Clip:
    """Blend the texture into the background; `inside` [t h w] is the share of each pixel that the object covers."""
    frames = np.array(np.broadcast_to(background, (*inside.shape, 3)), np.float32, order="C")
    seen = np.flatnonzero(inside)
    last = _TEXTURE - 1
    texel_row = np.clip((down.ravel()[seen] + 1) * (last / 2), 0, last).astype(np.intp)
    texel_column = np.clip((across.ravel()[seen] + 1) * (last / 2), 0, last).astype(np.intp)
    cover = inside.ravel()[seen, None]
    pixels = frames.reshape(-1, 3)
    pixels[seen] += cover * (texture[texel_row, texel_column] - pixels[seen])
    return np.clip(frames, 0, 255).astype(np.uint8)


def _noise(rng: np.random.Generator, knots: tuple[int, int], size: tuple[int, int]) -> Floats:
    """[h w c] smooth coloured noise between -1 and 1: random values on a grid, interpolated linearly."""
    grid = rng.uniform(-1, 1, (*knots, 3)).astype(np.float32)
    for axis, (count, length) in enumerate(zip(knots, size, strict=True)):
        place = np.linspace(0, count - 1, length, dtype=np.float32)
        lower = np.minimum(place.astype(np.intp), count - 2)
        share = (place - lower).reshape([-1 if dim == axis else 1 for dim in range(3)])
        grid = np.take(grid, lower, axis) * (1 - share) + np.take(grid, lower + 1, axis) * share
    return grid.astype(np.float32)
