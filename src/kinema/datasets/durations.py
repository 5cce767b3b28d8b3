"""How long videos and examples are, without decoding them."""

from __future__ import annotations

import numpy as np

from kinema.datasets.dataset import DataSet
from kinema.errors import VideoError
from kinema.types import IMAGE_FPS
from kinema.video import open_video

_MOST_SAMPLED = 50


def video_duration_s(path: str, image_fps: float = IMAGE_FPS) -> float | None:
    """The duration of a video in seconds; None if it cannot be read, which is reported where it is decoded."""
    try:
        with open_video(path, threads=1, image_fps=image_fps) as video:
            return video.info.duration_s
    except VideoError:
        return None


def typical_duration_s(data: DataSet) -> float | None:
    """The median duration of the examples in seconds, of a sample of about fifty; None if none can be read."""
    step = max(len(data) // _MOST_SAMPLED, 1)
    examples = data.examples[::step]
    durations_s = (video_duration_s(e.path, data.image_fps) if e.span is None else e.span.duration_s for e in examples)
    known = [duration_s for duration_s in durations_s if duration_s is not None]
    return float(np.median(known)) if known else None
