"""A synthetic data set to try kinema with: videos drawn by `video.synthetic`, written as H.264 into class folders.

In the kind "motion" no single frame shows the class, so a single-frame network can only guess; in the kind "appearance" every
frame shows it. Each video depends only on the seed, its class and its number.
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
    """Write videos of 12 frames a second as `ROOT/train/CLASS/0001.mp4` and `ROOT/valid/CLASS/0001.mp4`; returns `root`.

    Args:
        root: the folder; it must be empty or not exist.
        per_class_train: training videos of each class.
        per_class_valid: validation videos of each class.
        seed: the same seed draws the same videos.
        kind: "motion" or "appearance".
        num_frames: of each video.
        size: height and width in pixels.
        advance: called with the number of videos written since the last call.

    Raises:
        OutputError: the folder is not empty, or cannot be written.
    """
    root = Path(root)
    if root.exists() and any(root.iterdir()):
        raise OutputError("the folder is not empty", root, "give a new one")
    draw = synthetic.draw_motion if kind == "motion" else synthetic.draw_appearance
    labels = tuple(synthetic.MOTIONS if kind == "motion" else synthetic.APPEARANCES)
    counts = {"train": per_class_train, "valid": per_class_valid}
    videos = [
        (root / part / label / f"{number:04d}.mp4", label, [seed, part_index, label_index, number])
        for part_index, (part, count) in enumerate(counts.items())
        for label_index, label in enumerate(labels)
        for number in range(1, count + 1)
    ]
    for path, label, seeds in videos:
        path.parent.mkdir(parents=True, exist_ok=True)
        with VideoWriter(path, 12.0, size=size) as writer:
            for frame in draw(label, np.random.default_rng(seeds), num_frames, size):
                writer.write(frame)
        advance(1)
    return str(root)
