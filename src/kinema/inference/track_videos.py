"""Find persons in videos and follow them: a thread decodes ahead of the detector, and memory is constant.

One chunk of frames is with the detector, and two wait. No frame is kept, only the boxes of tracks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from kinema.errors import KinemaError, UnknownName, UnreadableVideo, check_settings
from kinema.inference.detectors.boxes_file import KeptBoxes
from kinema.inference.detectors.contract import PERSON, Detector, Found
from kinema.inference.reader import ReadAhead, VideoEnd, read_frames
from kinema.localization.tracking import Tracker, TrackerOptions, numbered
from kinema.predictions import Failure
from kinema.tracks import FrameBoxes, Track, VideoTracks
from kinema.types import IMAGE_FPS
from kinema.video import cut_off, open_video

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.types import VideoInfo

_CHUNKS_AHEAD = 2
_LOW_SHARE = 1 / 3
"""Boxes down to this share of the least score continue tracks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectOptions:
    """How persons are found and followed.

    Args:
        fps: frames a second that are looked at; None looks at all.
        min_score: boxes begin a track from this score on; boxes of a third of it continue one. None is the detector's own.
        kinds: names of the detector's classes that are kept.
        patience_s: a person who is not found for longer comes back as another one.
        min_boxes: persons with fewer boxes are left out.
        image_fps: frame rate of folders of pictures.
    """

    fps: float | None = None
    min_score: float | None = None
    kinds: tuple[str, ...] = (PERSON,)
    patience_s: float = 1.0
    min_boxes: int = 2
    image_fps: float = IMAGE_FPS

    def __post_init__(self) -> None:
        check_settings({"fps": self.fps, "image_fps": self.image_fps}, 1e-3, 1e4)
        check_settings({"min_score": self.min_score}, 1e-3, 1)
        self.tracker(0.5)

    def tracker(self, min_score: float) -> TrackerOptions:
        """Options of the tracker for boxes that can be trusted from `min_score` on."""
        return TrackerOptions(
            high_score=min_score, new_score=min_score, low_score=min_score * _LOW_SHARE,
            patience_s=self.patience_s, min_boxes=self.min_boxes,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Start:
    """Video `number` is open; `times_s` are the display times of its frames."""

    number: int
    info: VideoInfo
    times_s: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Some frames [n h w 3] of a video and their numbers."""

    indices: list[int]
    pixels: NDArray[np.uint8]


@dataclass(slots=True)
class _Open:
    """A video that is being read."""

    start: _Start
    tracker: Tracker
    tracks: list[Track] = field(default_factory=list)
    num_frames: int = 0
    best_score: float = 0.0

    def add(self, found: FrameBoxes) -> None:
        self.num_frames += 1
        self.best_score = max(self.best_score, float(found.scores.max(initial=0)))
        self.tracks += self.tracker.update(found)


def track_videos(
    paths: Sequence[str | os.PathLike[str]], detector: Detector | KeptBoxes, options: DetectOptions | None = None
) -> Iterator[VideoTracks | Failure]:
    """Find and follow persons, in the order of the videos; a video that cannot be read gives a `Failure`.

    Args:
        paths: of files, or of folders of images.
        detector: finds boxes; see `kinema.inference.detectors.opening.open_detector`. Boxes of a file that have identities keep
            them, and no frame is decoded.
        options: see `DetectOptions`.

    Raises:
        UnknownName: the detector has no class of a requested name.
    """
    options, names = options or DetectOptions(), [os.fspath(path) for path in paths]
    if isinstance(detector, KeptBoxes):
        return (_from_file(name, detector, options) for name in names)
    for kind in options.kinds:
        if kind not in detector.kinds:
            raise UnknownName(f"class in {detector.name}", kind, detector.kinds)
    return _detect(names, detector, options)


def _detect(names: Sequence[str], detector: Detector, options: DetectOptions) -> Iterator[VideoTracks | Failure]:
    min_score = options.min_score or detector.min_score
    wanted = np.array([kind in options.kinds for kind in detector.kinds])
    video: _Open | None = None

    def read(number: int, path: str) -> Iterator[_Start | _Chunk | VideoEnd]:
        return _read(number, path, options)

    with ReadAhead(read, names, num_threads=1, depth=_CHUNKS_AHEAD) as items:
        for item in items:
            if isinstance(item, _Start):
                video = _Open(item, Tracker(options.tracker(min_score)))
            elif isinstance(item, _Chunk):
                assert video is not None
                for index, found in zip(item.indices, detector(item.pixels), strict=True):
                    video.add(_kept(found, wanted, index, float(video.start.times_s[index])))
            elif item.error is not None or video is None:
                yield Failure(names[item.number], item.error or KinemaError("no frame", names[item.number]))
            else:
                tracks = numbered([*video.tracks, *video.tracker.finish()])
                yield VideoTracks(
                    video.start.info, tracks, video.num_frames, detector.name, min_score, video.best_score,
                    damage=item.damage,
                )  # fmt: skip
                video = None


def _read(number: int, path: str, options: DetectOptions) -> Iterator[_Start | _Chunk | VideoEnd]:
    """Items of one video in order of time; never raises: the last item has the error."""
    try:
        with open_video(path, image_fps=options.image_fps) as video:
            yield _Start(number, video.info, video.times_s)
            wanted, count = _wanted(video.times_s, video.info, options.fps), 0
            for indices, pixels in read_frames(video, wanted, None):
                count += len(indices)
                yield _Chunk(indices, pixels)
            if not count:
                raise UnreadableVideo("no frame of this video can be decoded", path, "export it again")
            damage = " and ".join(filter(None, (cut_off(video.info, video.promised_s), video.damage)))
            yield VideoEnd(number, damage=damage)
    except KinemaError as error:
        yield VideoEnd(number, error)
    except Exception as error:  # one bad file must not end a run over many
        reason = f"{type(error).__name__}: {error}"
        yield VideoEnd(number, UnreadableVideo(f"cannot be read ({reason})", path, "convert it with ffmpeg"))


def _wanted(times_s: NDArray[np.float64], info: VideoInfo, fps: float | None) -> NDArray[np.int64]:
    """Numbers of the frames that are looked at: those displayed at every multiple of 1 / fps."""
    if fps is None or fps >= info.fps:
        return np.arange(len(times_s))
    at_s = times_s[0] + np.arange(int((times_s[-1] - times_s[0]) * fps) + 1) / fps
    return np.unique(np.searchsorted(times_s, at_s + 1e-6, side="right") - 1).clip(0)


def _kept(found: Found, wanted: NDArray[np.bool_], index: int, time_s: float) -> FrameBoxes:
    """The boxes of the wanted classes."""
    rows = wanted[found.classes]
    return FrameBoxes(index, time_s, found.boxes[rows], found.scores[rows])


def _from_file(path: str, kept: KeptBoxes, options: DetectOptions) -> VideoTracks | Failure:
    """The tracks of a video for boxes of a file."""
    try:
        with open_video(path, image_fps=options.image_fps) as video:
            info, times_s = video.info, video.times_s
        frames, tracks = kept.tracks_of(info, times_s)
    except KinemaError as error:
        return Failure(path, error)
    tracker = Tracker(options.tracker(options.min_score or 0.5))
    found = [ended for one in frames for ended in tracker.update(one)] + tracker.finish()
    taken = max((track.id for track in tracks), default=0)
    more = [replace(track, id=taken + track.id) for track in numbered(found)]
    scores = np.concatenate([np.zeros(1), *(one.scores for one in frames), *(track.scores for track in tracks)])
    num_frames = len({one.frame for one in frames} | {int(frame) for track in tracks for frame in track.frames})
    return VideoTracks(info, (*tracks, *more), num_frames, kept.name, options.min_score or 0.5, float(scores.max()))
