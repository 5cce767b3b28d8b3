"""Join the boxes of frames to tracks, as ByteTrack does (Zhang et al., ECCV 2022), but in seconds in place of frames.

A Kalman filter predicts where each track is at the time of a frame. Boxes of high score are matched with all tracks first, then
boxes of low score with tracks that were seen in the frame before: a person who is half hidden keeps the identity. A track that
is not found waits for `patience_s`. Velocities, noise and patience are in seconds, so that a video gives about the same tracks
at any frame rate. Only tracks that have not ended are kept in memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from kinema.boxes import box_iou
from kinema.errors import check_settings
from kinema.localization.assignment import assign
from kinema.localization.kalman import BoxState
from kinema.tracks import FrameBoxes, Track

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackerOptions:
    """Thresholds of the tracker; the defaults are ByteTrack's, but for `min_iou_new` (0.3 there), which suits low frame rates.

    Args:
        high_score: boxes from this score on are matched first.
        low_score: boxes below this score are ignored.
        new_score: a box that belongs to no track begins one from this score on.
        min_iou: least overlap of a box of high score with the predicted box of a track.
        min_iou_low: the same for boxes of low score.
        min_iou_new: the same for tracks that have too few boxes yet.
        patience_s: a track ends if it is not found for longer than this many seconds.
        min_boxes: a track needs so many boxes; one that has fewer ends in the first frame without its box.
    """

    high_score: float = 0.6
    low_score: float = 0.1
    new_score: float = 0.7
    min_iou: float = 0.2
    min_iou_low: float = 0.5
    min_iou_new: float = 0.1
    patience_s: float = 1.0
    min_boxes: int = 2

    def __post_init__(self) -> None:
        names = ("high_score", "low_score", "new_score", "min_iou", "min_iou_low", "min_iou_new")
        check_settings({name: getattr(self, name) for name in names}, 0, 1)
        check_settings({"patience_s": self.patience_s}, 0)
        check_settings({"min_boxes": self.min_boxes}, 1)


@dataclass(slots=True, eq=False)
class _Living:
    """A track that has not ended: its state at the time of the last frame, and its boxes so far."""

    id: int
    state: BoxState
    seen_s: float
    frames: list[int] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    boxes: list[NDArray[np.float64]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def add(self, found: FrameBoxes, row: int) -> None:
        if self.frames:
            self.state = self.state.updated(found.boxes[row])
        self.seen_s = found.time_s
        self.frames.append(found.frame)
        self.times_s.append(found.time_s)
        self.boxes.append(found.boxes[row])
        self.scores.append(float(found.scores[row]))

    def to_track(self) -> Track:
        times_s, frames = np.array(self.times_s), np.array(self.frames, np.int64)
        return Track(self.id, times_s, frames, np.stack(self.boxes), np.array(self.scores))


class Tracker:
    """Joins boxes to tracks, one frame after another.

    Args:
        options: thresholds.
    """

    def __init__(self, options: TrackerOptions | None = None) -> None:
        self.options = options or TrackerOptions()
        self._living: list[_Living] = []
        self._last_s: float | None = None
        self._next_id = 1

    def update(self, found: FrameBoxes) -> list[Track]:
        """Add the boxes of the next frame, also if there are none; returns the tracks that have ended.

        Raises:
            ValueError: the frame is not later than the one before.
        """
        dt_s = 0.0 if self._last_s is None else found.time_s - self._last_s
        if dt_s < 0 or (dt_s == 0 and self._last_s is not None):
            raise ValueError(f"frames must be in order of time, got {found.time_s} s after {self._last_s} s")
        for track in self._living:
            track.state = track.state.predicted(dt_s, keep_size=track.seen_s != self._last_s)
        left = self._match(found)
        for row in left[found.scores[left] >= self.options.new_score]:
            track = _Living(self._next_id, BoxState.first(found.boxes[row]), found.time_s)
            track.add(found, int(row))
            self._living.append(track)
            self._next_id += 1
        self._last_s = found.time_s
        return self._end(found.time_s)

    def finish(self) -> list[Track]:
        """The tracks that have not ended with the last frame."""
        tracks = [track.to_track() for track in self._living if self._is_sure(track)]
        self._living = []
        return tracks

    def _is_sure(self, track: _Living) -> bool:
        return len(track.frames) >= self.options.min_boxes

    def _match(self, found: FrameBoxes) -> NDArray[np.int64]:
        """Add boxes to the tracks that they belong to; returns the rows of high score that are left."""
        options = self.options
        high = np.flatnonzero(found.scores >= options.high_score)
        low = np.flatnonzero((found.scores >= options.low_score) & (found.scores < options.high_score))
        sure = [track for track in self._living if self._is_sure(track)]
        unsure = [track for track in self._living if not self._is_sure(track)]
        missed, high = self._stage(sure, found, high, options.min_iou)
        self._stage([track for track in missed if track.seen_s == self._last_s], found, low, options.min_iou_low)
        _, high = self._stage(unsure, found, high, options.min_iou_new)
        return high

    def _stage(
        self, tracks: list[_Living], found: FrameBoxes, rows: NDArray[np.int64], least: float
    ) -> tuple[list[_Living], NDArray[np.int64]]:
        """Match tracks with some rows; returns the tracks and the rows that are left."""
        predicted = np.array([track.state.box for track in tracks]).reshape(-1, 4)
        pairs = assign(box_iou(predicted, found.boxes[rows]), least)
        for place, column in pairs:
            tracks[place].add(found, int(rows[column]))
        matched = {place for place, _ in pairs}
        left = np.delete(rows, [column for _, column in pairs])
        return [track for place, track in enumerate(tracks) if place not in matched], left

    def _end(self, time_s: float) -> list[Track]:
        """Remove tracks that have not been found for too long, and return those with enough boxes."""
        ended: list[_Living] = []
        living: list[_Living] = []
        for track in self._living:
            patience_s = self.options.patience_s if self._is_sure(track) else 0.0
            (living if time_s - track.seen_s <= patience_s else ended).append(track)
        self._living = living
        return [track.to_track() for track in ended if self._is_sure(track)]


def track(frames: Iterable[FrameBoxes], options: TrackerOptions | None = None) -> tuple[Track, ...]:
    """Join the boxes of a video to tracks.

    Args:
        frames: boxes of each frame in order of time, with the frames that have none.
        options: thresholds.

    Returns:
        tracks in the order of their first box, numbered from 1.
    """
    tracker = Tracker(options)
    tracks = [ended for found in frames for ended in tracker.update(found)] + tracker.finish()
    return numbered(tracks)


def numbered(tracks: Iterable[Track]) -> tuple[Track, ...]:
    """Tracks in the order of their first box, with the numbers 1, 2, 3 …."""
    ordered = sorted(tracks, key=lambda one: (float(one.times_s[0]), one.id))
    return tuple(
        Track(number, one.times_s, one.frames, one.boxes, one.scores, one.labels)
        for number, one in enumerate(ordered, start=1)
    )
