"""Videos of several moving figures, each with its own action, with exact boxes, identities and actions.

All figures have random colours, sizes and poses; an action moves one part of the pose. So a single frame tells nothing about the
action, and a network has to see motion inside a box. A figure may walk and wave at once: then it has two labels. Scenes are
functions of time, so that the same scene can be written at any frame rate.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from kinema.files import write_json, write_text
from kinema.video.writer import VideoWriter

if TYPE_CHECKING:
    from numpy.typing import NDArray

ACTIONS = ("stand", "walk", "wave", "jump", "spin")
SIZE, FPS, SECONDS = (144, 192), 25.0, 12.0

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]
_SMOOTH = 2
"""Frames are drawn larger by this factor and scaled down, so that edges are smooth."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure: its identity from 1 on, its actions, when it is there, and its look.

    Positions are shares of the frame, angles radians from downwards, `rate_hz` that of the moving part, `phase` 0 to 1.
    """

    id: int
    actions: tuple[str, ...]
    start_s: float
    end_s: float
    across: float
    ground: float
    height: float
    speed: float
    rate_hz: float
    phase: float
    arms: tuple[float, float]
    legs: float
    turn: float
    colours: tuple[Colour, Colour, Colour]

    def pose(self, time_s: float) -> tuple[float, float, tuple[float, float], float, float]:
        """Position across and above the ground (share of the height), angles of arms and legs, and turn, at a time."""
        cycle = 2 * math.pi * (self.rate_hz * time_s + self.phase)
        across, above, (left, right), legs, turn = self.across, 0.0, self.arms, self.legs, self.turn
        if "walk" in self.actions:
            across = _bounced(self.across + self.speed * (time_s - self.start_s))
            legs = 0.45 * math.sin(cycle)
        if "wave" in self.actions:
            right = math.pi * (0.55 + 0.35 * math.sin(1.3 * cycle))
        if "jump" in self.actions:
            above = 0.2 * abs(math.sin(cycle / 2))
        if "spin" in self.actions:
            turn = cycle / 2
        return across, above, (left, right), legs, turn


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Figures before a textured background [h w 3]."""

    figures: tuple[Figure, ...]
    background: NDArray[np.uint8]
    seconds: float

    def at(self, time_s: float) -> tuple[NDArray[np.uint8], dict[int, Box]]:
        """The picture at a time [h w 3], and left, top, right, bottom in pixels of each figure there, by identity.

        Parts of a figure that another one hides belong to its box.
        """
        picture, boxes = Image.fromarray(self.background), dict[int, Box]()
        for figure in self.figures:
            if figure.start_s - 1e-9 <= time_s < figure.end_s:
                drawn, (left, top) = _drawn(figure, time_s, picture.height, picture.width)
                mask = drawn.getchannel("A")
                picture.paste(drawn, (left, top), mask)
                inside = mask.point(lambda value: 255 if value > 127 else 0).getbbox()
                assert inside is not None
                first = max(inside[0] + left, 0), max(inside[1] + top, 0)
                last = min(inside[2] + left, picture.width), min(inside[3] + top, picture.height)
                boxes[figure.id] = (*first, *last)
        return np.asarray(picture, np.uint8), boxes


def draw_scene(
    rng: np.random.Generator, size: tuple[int, int] = SIZE, seconds: float = SECONDS, most: int = 3, first: str = ""
) -> Scene:
    """A scene of one to `most` figures; in one of five scenes nobody is there in the first quarter.

    Args:
        rng: of everything that is random.
        size: height and width.
        seconds: its length.
        most: largest number of figures.
        first: the action of the first figure; empty for any.
    """
    count = int(rng.integers(1, most + 1))
    latest_s = seconds * (0.25 if rng.random() < 0.2 else 0.0)
    slots = (rng.permutation(count) + rng.uniform(0.25, 0.75, count)) / count
    grounds = rng.permutation(np.linspace(0.75, 0.97, count) if count > 1 else [0.85])
    figures = [
        _figure(rng, place + 1, float(slots[place]), float(grounds[place]), (latest_s, seconds), "" if place else first)
        for place in range(count)
    ]
    figures.sort(key=lambda figure: figure.ground)  # who stands lower is nearer, and hides the others
    coarse = rng.uniform(30, 130, 3) + rng.normal(0, 28, (6, 8, 3))
    image = Image.fromarray(coarse.clip(0, 255).astype(np.uint8))
    smooth = np.asarray(image.resize(size[::-1], Image.Resampling.BICUBIC), np.float64)
    background = (smooth + rng.normal(0, 6, smooth.shape)).clip(0, 255).astype(np.uint8)
    return Scene(tuple(figures), background, seconds)


def _figure(
    rng: np.random.Generator, number: int, across: float, ground: float, there_s: tuple[float, float], action: str
) -> Figure:
    action = action or str(rng.choice(ACTIONS))
    actions = ("walk", "wave") if action == "walk" and rng.random() < 0.35 else (action,)
    colours = [tuple(int(value) for value in rng.integers(0, 256, 3)) for _ in range(3)]
    return Figure(
        id=number, actions=actions, start_s=there_s[0], end_s=there_s[1],
        across=0.12 + 0.76 * across, ground=ground, height=float(rng.uniform(0.38, 0.52)),
        speed=float(rng.uniform(0.1, 0.2) * rng.choice([-1, 1])), rate_hz=float(rng.uniform(0.8, 1.2)),
        phase=float(rng.random()), arms=(float(rng.uniform(0.15, 2.8)), float(rng.uniform(0.15, 2.8))),
        legs=float(rng.uniform(-0.45, 0.45)), turn=float(rng.uniform(0, math.pi)),
        colours=(colours[0], colours[1], colours[2]),  # type: ignore[arg-type]
    )  # fmt: skip


def _bounced(across: float) -> float:
    """A position that turns back at 0.12 and 0.88."""
    low, high = 0.12, 0.88
    place = (across - low) % (2 * (high - low))
    return low + min(place, 2 * (high - low) - place)


def _drawn(figure: Figure, time_s: float, height: int, width: int) -> tuple[Image.Image, tuple[int, int]]:
    """The figure as a picture with transparency, and where its left and top lie in the frame."""
    across, above, arms, legs, turn = figure.pose(time_s)
    tall = figure.height * height * _SMOOTH
    left, top = (
        int(across * width - 0.7 * tall / _SMOOTH),
        int((figure.ground - above * figure.height) * height - 1.2 * tall / _SMOOTH),
    )
    sides = int(1.4 * tall / _SMOOTH), int(1.25 * tall / _SMOOTH)
    picture = Image.new("RGBA", (sides[0] * _SMOOTH, sides[1] * _SMOOTH), (*figure.colours[0], 0))
    middle = (across * width - left) * _SMOOTH
    feet = ((figure.ground - above * figure.height) * height - top) * _SMOOTH
    _draw(ImageDraw.Draw(picture), figure, (middle, feet, tall), (arms, legs, turn))
    return picture.resize(sides, Image.Resampling.BOX), (left, top)


def _draw(
    draw: ImageDraw.ImageDraw,
    figure: Figure,
    place: tuple[float, float, float],
    pose: tuple[tuple[float, float], float, float],
) -> None:
    """Draw legs, body, arms, head and face; `place` is the middle, the feet and the height in pixels."""
    (middle, feet, tall), (arms, legs, turn) = place, pose
    hip, shoulder = feet - 0.42 * tall, feet - 0.78 * tall
    squash = 0.3 + 0.7 * abs(math.cos(turn))
    body, limb, head = figure.colours
    half, thick = 0.13 * tall * squash, max(int(0.07 * tall), 2)
    for sign in (-1, 1):
        swing = legs * sign + 0.12 * sign
        foot = (middle + math.sin(swing) * 0.42 * tall * squash, hip + math.cos(swing) * 0.42 * tall)
        draw.line([(middle + sign * half * 0.5, hip), foot], fill=limb, width=thick)
    draw.rectangle([middle - half, shoulder, middle + half, hip], fill=body)
    for sign, angle in zip((-1, 1), arms, strict=True):
        start = (middle + sign * half, shoulder + 0.04 * tall)
        reach = 0.34 * tall
        hand = (start[0] + sign * math.sin(angle) * reach * squash, start[1] + math.cos(angle) * reach)
        draw.line([start, hand], fill=limb, width=thick)
    radius, centre = 0.1 * tall, feet - 0.89 * tall
    draw.ellipse([middle - radius, centre - radius, middle + radius, centre + radius], fill=head)
    draw.ellipse(  # a face, so that a turn is seen
        [middle + 0.6 * radius * math.cos(turn) - radius / 3, centre - radius / 3,
         middle + 0.6 * radius * math.cos(turn) + radius / 3, centre + radius / 3],
        fill=limb,
    )  # fmt: skip


def write_scene(path: str | Path, scene: Scene, fps: float = FPS) -> list[dict[int, Box]]:
    """Write a scene as a video; returns the boxes of each frame by identity."""
    boxes = []
    with VideoWriter(path, fps, size=scene.background.shape[:2]) as writer:
        for number in range(round(scene.seconds * fps)):
            frame, own = scene.at(number / fps)
            writer.write(frame)
            boxes.append(own)
    return boxes


def write_figures_set(
    folder: str | Path,
    *,
    counts: Mapping[str, int] | None = None,
    seconds: float | Mapping[str, float] = SECONDS,
    fps: float = FPS,
    size: tuple[int, int] = SIZE,
    seed: int = 0,
) -> list[tuple[str, Scene]]:
    """Write a data set in AVA's format, with key frames at each second, and the truth of tracks in MOT's format.

    Args:
        folder: gets `boxes.json`, `labels.pbtxt`, a CSV file for each part, `videos/` and `mot/`.
        counts: number of videos of each part; default 24 to train and 8 to validate.
        seconds: length of each video, the same for all or by part.
        fps: its frame rate.
        size: its height and width.
        seed: of everything. The same seed draws the same scenes at any frame rate.

    Returns:
        the names and scenes of all videos.
    """
    folder, counts = Path(folder), counts or {"train": 24, "valid": 8}
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    written = []
    for place, (part, count) in enumerate(counts.items()):
        rows: list[str] = []
        for number in range(count):
            name = f"{part}_{number:03d}"
            rng, first = np.random.default_rng([seed, place, number]), ACTIONS[number % len(ACTIONS)]
            length_s = seconds[part] if isinstance(seconds, Mapping) else seconds
            scene = draw_scene(rng, size, length_s, first=first)
            boxes = write_scene(folder / "videos" / f"{name}.mp4", scene, fps)
            write_text(folder / "mot" / f"{name}.txt", "".join(_mot_rows(boxes)))
            rows += _ava_rows(name, scene)
            written.append((name, scene))
        write_text(folder / f"{part}.csv", "".join(rows))
    items = (f"item {{\n  name: {json.dumps(name)}\n  id: {place}\n}}\n" for place, name in enumerate(ACTIONS, start=1))
    write_text(folder / "labels.pbtxt", "".join(items))
    about = {
        "videos": "videos", "labels": "labels.pbtxt", "parts": {part: f"{part}.csv" for part in counts},
        "boxes": "normalised", "time_offset_s": 0, "key_frame_step_s": 1,
    }  # fmt: skip
    write_json(folder / "boxes.json", about)
    return written


def _ava_rows(name: str, scene: Scene) -> Iterator[str]:
    """A row for each label of each figure at each second but the first; a row of two cells where nobody is."""
    height, width = scene.background.shape[:2]
    actions = {figure.id: figure.actions for figure in scene.figures}
    for second in range(1, math.ceil(scene.seconds)):
        _, boxes = scene.at(float(second))
        if not boxes:
            yield f"{name},{second}\n"
        for number, (left, top, right, bottom) in boxes.items():
            corners = f"{left / width:.4f},{top / height:.4f},{right / width:.4f},{bottom / height:.4f}"
            for action in actions[number]:
                yield f"{name},{second},{corners},{ACTIONS.index(action) + 1},{number}\n"


def _mot_rows(boxes: list[dict[int, Box]]) -> Iterator[str]:
    for frame, own in enumerate(boxes, start=1):
        for number, (left, top, right, bottom) in own.items():
            yield f"{frame},{number},{left},{top},{right - left},{bottom - top},1,-1,-1,-1\n"
