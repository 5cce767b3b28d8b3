"""Frames of a data set's videos, from the files or from caches; with optical flow channels if the network needs them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from kinema.clips.flow import channels_at, stack_channels
from kinema.datasets.cache import FrameCache, file_state
from kinema.datasets.flow_cache import FlowCache
from kinema.types import IMAGE_FPS, InputSpec, TimeSpan
from kinema.video import Size, open_video
from kinema.video.reader import takes_image_fps

Rows = NDArray[np.int64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class OpenFrames:
    """The frames of an open video.

    Args:
        times_s: display times [n].
        at: reads some frames, [k] -> [k h w c].
        held_until_s: when the last frame stops being displayed; None if it is followed by frames that could not be decoded. May
            open the video.
    """

    times_s: NDArray[np.float64]
    at: Callable[[Rows], Pixels]
    held_until_s: Callable[[], float | None]

    def end_s(self, spec: InputSpec, span: TimeSpan | None = None) -> float | None:
        """The end of the video, if clips of the span can reach it; else None, and the video need not be opened for it.

        Networks that count frames at their own rate repeat the last frame for its display time; others use it once.
        """
        start_s, end_s = (0.0, float("inf")) if span is None else (span.start_s, span.end_s)
        last_s = self.times_s[-1]
        return self.held_until_s() if start_s > last_s or (spec.fps is not None and end_s > last_s) else None

    def slower(self, factor: float) -> OpenFrames:
        """The same frames, each displayed `factor` times as long."""

        def held_until_s() -> float | None:
            end_s = self.held_until_s()
            return None if end_s is None else factor * end_s

        return OpenFrames(factor * self.times_s, self.at, held_until_s)


@dataclass(frozen=True, slots=True)
class FrameSource:
    """Reads the frames of videos as the input channels of a network.

    Args:
        spec: its modality says which channels.
        size: decode size.
        cache: keeps decoded frames; None decodes each time.
        flow_cache: keeps optical flow; None computes the flow of the requested frames each time.
        image_fps: frame rate of folders of pictures. Caches keep their times at the usual rate.
    """

    spec: InputSpec
    size: Size
    cache: FrameCache | None = None
    flow_cache: FlowCache | None = None
    image_fps: float = IMAGE_FPS

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[OpenFrames]:
        """The frames of one video.

        Raises:
            UnreadableVideo: it cannot be decoded.
            EmptyVideo: it has no frame.
            OutputError: a cache cannot be written.
        """
        with self._open(path) as frames:
            factor = IMAGE_FPS / self.image_fps
            yield frames.slower(factor) if factor != 1 and takes_image_fps(path) else frames

    @contextlib.contextmanager
    def _open(self, path: str) -> Iterator[OpenFrames]:
        if not self.spec.has_flow:
            with self._open_rgb(path) as rgb:
                yield rgb
        elif self.flow_cache is None:
            with self._open_rgb(path) as rgb:
                num_frames = len(rgb.times_s)
                yield replace(rgb, at=lambda rows: channels_at(rows, num_frames, self.spec, rgb.at))
        else:
            flow = self.flow_cache.read(path, self.size)
            flow_frames = OpenFrames(flow.times_s, flow.read, lambda: _held_until_s(path, flow.times_s))
            if self.spec.modality == "flow":
                yield flow_frames
                return
            with self._open_rgb(path) as rgb:
                # Both leave out damaged frames, but not the same ones: flow needs two frames in a row.
                rgb_rows = np.searchsorted(rgb.times_s, flow.times_s)
                yield replace(
                    flow_frames, at=lambda rows: stack_channels(rgb.at(rgb_rows[rows]), flow.read(rows), self.spec)
                )

    @contextlib.contextmanager
    def _open_rgb(self, path: str) -> Iterator[OpenFrames]:
        if self.cache is not None:
            frames, times_s = self.cache.read(path, self.size)
            yield OpenFrames(times_s, lambda rows: frames[rows], lambda: _held_until_s(path, times_s))
            return
        with open_video(path, threads=1) as video:
            yield OpenFrames(
                video.times_s, lambda rows: video.frames_at(rows, self.size), lambda: video.info.duration_s
            )


def _held_until_s(path: str, times_s: NDArray[np.float64]) -> float | None:
    """When the last cached frame stops being displayed; None if it is not the last frame of the video."""
    last_s, end_s = _last_frame_s(path, file_state(path))
    return end_s if last_s <= times_s[-1] else None


@cache
def _last_frame_s(path: str, state: tuple[object, ...]) -> tuple[float, float]:
    """Start and end of the last frame's display; `state` is part of the cache's key, so that a changed file is read again."""
    with open_video(path, threads=1) as video:
        return float(video.times_s[-1]), video.info.duration_s
