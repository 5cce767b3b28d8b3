"""A data set to try kinema with: films drawn by `video.synthetic`, written as H.264 in class folders.

Of the kind "motion" no single frame tells the class, so that a network that looks at one frame can only guess; of the
kind "appearance" every frame does. Each film depends on the seed, its class and its number alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np

from kinema.errors import OutputError
from kinema.video import synthetic
from kinema.video.writer import VideoWriter

PARTS = ("train", "valid")


def write_motion_set(
    root: str | os.PathLike[str],
    per_class_train: int = 40,
    per_class_valid: int = 10,
    seed: int = 0,
    kind: Literal["motion", "appearance"] = "motion",
    *,
    num_frames: int = 24,
    size: tuple[int, int] = (48, 48),
    advance: Callable[[int], None] = lambda count: None,
) -> str:
    """Draw films and write them as `ROOT/train/CLASS/0001.mp4` and `ROOT/valid/CLASS/0001.mp4`, 12 frames a second.

    Args:
        root: the folder; it must not hold anything yet.
        per_class_train: films of each class for training.
        per_class_valid: films of each class for validation.
        seed: the same seed draws the same films.
        kind: "motion" or "appearance".
        num_frames: of each film.
        size: height and width in pixels.
        advance: called with the number of films written since the last call.

    Returns:
        `root`, ready for `open_data`.

    Raises:
        OutputError: the folder holds something, or cannot be written.
    """
    root = Path(root)
    if root.exists() and any(root.iterdir()):
        raise OutputError("the folder is not empty", root, "give a new one")
    for path, label, rng in _films(root, (per_class_train, per_class_valid), seed, kind):
        draw = synthetic.draw_motion if kind == "motion" else synthetic.draw_appearance
        _write(path, draw(label, rng, num_frames, size))
        advance(1)
    return str(root)


def count_films(per_class_train: int, per_class_valid: int, kind: Literal["motion", "appearance"] = "motion") -> int:
    """How many films `write_motion_set` writes."""
    return len(_classes(kind)) * (per_class_train + per_class_valid)


def _classes(kind: str) -> tuple[str, ...]:
    return tuple(synthetic.MOTIONS if kind == "motion" else synthetic.APPEARANCES)


def _films(root: Path, per_class: tuple[int, int], seed: int, kind: str) -> list[tuple[Path, str, np.random.Generator]]:
    return [
        (root / part / label / f"{number:04d}.mp4", label, np.random.default_rng([seed, place, row, number]))
        for place, (part, count) in enumerate(zip(PARTS, per_class, strict=True))
        for row, label in enumerate(_classes(kind))
        for number in range(1, count + 1)
    ]


def _write(path: Path, frames: np.typing.NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, 12.0, size=(frames.shape[1], frames.shape[2])) as writer:
        for frame in frames:
            writer.write(frame)
