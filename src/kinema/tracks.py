"""Boxes of a frame, and tracks: the boxes of one person over time. Imports no torch.

Boxes are left, top, right, bottom in pixels of the displayed video, that is with its rotation applied.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from kinema.predictions import Segment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.types import VideoInfo


def _check(boxes: NDArray[np.float64], scores: NDArray[np.float64], what: str) -> None:
    if boxes.shape != (len(scores), 4):
        raise ValueError(f"{what}: {boxes.shape=} does not fit {len(scores)} scores")
    if not np.isfinite(boxes).all() or not np.isfinite(scores).all():
        raise ValueError(f"{what}: a box or score is not finite")


@dataclass(frozen=True, slots=True, eq=False)
class FrameBoxes:
    """The boxes [n 4] and scores [n] that a detector found in a frame; most frames of a video may have none."""

    frame: int
    time_s: float
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]

    def __post_init__(self) -> None:
        _check(self.boxes, self.scores, f"frame {self.frame}")

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, slots=True)
class Presence:
    """When a person was seen, in seconds: first, last, in total, in how many stretches, and the longest gap between them."""

    id: int
    first_s: float
    last_s: float
    seen_s: float
    times: int
    longest_gap_s: float

    def to_json(self) -> dict[str, object]:
        """A plain dictionary; times are rounded to milliseconds."""
        return {name: round(one, 3) if isinstance(one, float) else one for name, one in asdict(self).items()}


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One person over time.

    Args:
        id: from 1, unique within a video.
        times_s: [n] times at which the person was found, ascending.
        frames: [n] numbers of these frames in display order, from 0.
        boxes: [n 4] left, top, right, bottom in pixels.
        scores: [n] the detector's scores.
        labels: what the person does, and when; segments of several labels may overlap.
    """

    id: int
    times_s: NDArray[np.float64]
    frames: NDArray[np.int64]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    labels: tuple[Segment, ...] = field(default=())

    def __post_init__(self) -> None:
        if not len(self.frames) == len(self.times_s) == len(self.scores) > 0:
            raise ValueError(f"track {self.id} needs as many frames, times and scores, and at least one")
        _check(self.boxes, self.scores, f"track {self.id}")

    def __repr__(self) -> str:
        """One line with the number of boxes and the times."""
        return f"Track({self.id}: {len(self)} boxes, {self.times_s[0]:.2f} to {self.times_s[-1]:.2f} s)"

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def score(self) -> float:
        """The mean score of the boxes."""
        return float(self.scores.mean())

    def boxes_at(self, times_s: NDArray[np.float64], largest_gap_s: float = 1.0) -> NDArray[np.float64]:
        """The boxes [m 4] at given times, interpolated between the two nearest detections.

        Rows are NaN before the first detection, after the last, and in gaps that are longer than `largest_gap_s`.
        """
        after = np.searchsorted(self.times_s, times_s - 1e-6)
        first, last = np.clip(after - 1, 0, len(self) - 1), np.clip(after, 0, len(self) - 1)
        gap_s = self.times_s[last] - self.times_s[first]
        share = np.divide(times_s - self.times_s[first], gap_s, out=np.zeros_like(gap_s), where=gap_s > 0)
        share = share.clip(0, 1)[:, None]
        boxes = self.boxes[first] * (1 - share) + self.boxes[last] * share
        exact = np.abs(self.times_s[last] - times_s) <= 1e-6
        outside = (times_s < self.times_s[0] - 1e-6) | (times_s > self.times_s[-1] + 1e-6)
        boxes[outside | ((gap_s > largest_gap_s) & ~exact)] = np.nan
        return boxes

    def presence(self, largest_gap_s: float = 0.5) -> Presence:
        """When the person was seen. Gaps between boxes count if they are longer than `largest_gap_s` and than a usual step."""
        steps = np.diff(self.times_s)
        gaps = steps[steps > max(largest_gap_s, 1.5 * float(np.median(steps)))] if len(steps) else steps
        first_s, last_s = float(self.times_s[0]), float(self.times_s[-1])
        longest_s = float(gaps.max(initial=0.0))
        return Presence(self.id, first_s, last_s, last_s - first_s - float(gaps.sum()), len(gaps) + 1, longest_s)

    def to_json(self) -> dict[str, object]:
        """As `{"id", "labels": [segment, …], "boxes": [{"time_s", "frame", "box", "score"}, …]}`."""
        rows = zip(self.times_s.tolist(), self.frames.tolist(), self.boxes.tolist(), self.scores.tolist(), strict=True)
        boxes = [
            {
                "time_s": round(time_s, 3),
                "frame": frame,
                "box": [round(side, 2) for side in box],
                "score": round(score, 4),
            }
            for time_s, frame, box, score in rows
        ]
        return {"id": self.id, "labels": [label.to_json() for label in self.labels], "boxes": boxes}


@dataclass(frozen=True, slots=True, eq=False)
class VideoTracks:
    """The tracks of a video, and how they were found.

    Args:
        info: of the video; sizes are those displayed.
        tracks: in the order of their first box; none is a normal answer.
        num_frames: frames in which boxes were looked for.
        detector: what found the boxes.
        min_score: boxes of at least this score begin tracks.
        best_score: the highest score of any box, or 0 if there was none.
        classes: the labels that a track can have; none if nobody asked what persons do.
        damage: what could not be read, if anything.
    """

    info: VideoInfo
    tracks: tuple[Track, ...]
    num_frames: int
    detector: str
    min_score: float
    best_score: float
    classes: tuple[str, ...] = field(default=())
    damage: str = ""

    @property
    def path(self) -> str:
        """The path of the video."""
        return self.info.path

    def to_json(self) -> dict[str, object]:
        """As `{"path", "duration_s", "width", "height", "fps", "num_frames", "detector", "min_score", "tracks"}`."""
        info = self.info
        return {
            "path": info.path,
            "duration_s": round(info.duration_s, 3),
            "width": info.width,
            "height": info.height,
            "fps": round(info.fps, 4),
            "num_frames": self.num_frames,
            "detector": self.detector,
            "min_score": self.min_score,
            "tracks": [track.to_json() for track in self.tracks],
            **({"damage": self.damage} if self.damage else {}),
        }
