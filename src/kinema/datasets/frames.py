"""Where the frames of a data set come from: the files themselves, or caches; with optical flow where a network sees it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from kinema.clips.flow import channels_at, joined
from kinema.datasets.cache import FrameCache, file_state
from kinema.datasets.flow_cache import FlowCache
from kinema.types import InputSpec, TimeSpan
from kinema.video import Size, open_video

Rows = NDArray[np.int64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class OpenFrames:
    """Frames of an open video: when they are shown, [n], and how to get some of them, [k] -> [k h w c].

    `held_until_s` tells when the last one goes, None where frames follow it that could not be decoded. It may open the film.
    """

    times_s: NDArray[np.float64]
    at: Callable[[Rows], Pixels]
    held_until_s: Callable[[], float | None]

    def end_s(self, spec: InputSpec, span: TimeSpan | None = None) -> float | None:
        """The end of the video where clips of a span may reach it; None for others, which do without it.

        Networks that count frames at a rate of their own see the last one for as long as it stays, the others once.
        """
        start_s, end_s = (0.0, float("inf")) if span is None else (span.start_s, span.end_s)
        last_s = self.times_s[-1]
        return self.held_until_s() if start_s > last_s or (spec.fps is not None and end_s > last_s) else None


@dataclass(frozen=True, slots=True)
class FrameSource:
    """Reads the frames of videos as a network's channels.

    Args:
        spec: its modality says which channels.
        size: as the decoder takes it.
        cache: of decoded frames; None decodes.
        flow_cache: of optical flow; None computes that of the frames that are asked for.
    """

    spec: InputSpec
    size: Size
    cache: FrameCache | None = None
    flow_cache: FlowCache | None = None

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[OpenFrames]:
        """The frames of one video.

        Raises:
            UnreadableVideo: it cannot be decoded.
            EmptyVideo: there is no frame in it.
            OutputError: a cache cannot be written.
        """
        if not self.spec.has_flow:
            with self._pictures(path) as pictures:
                yield pictures
        elif self.flow_cache is None:
            with self._pictures(path) as pictures:
                count = len(pictures.times_s)
                yield replace(pictures, at=lambda rows: channels_at(rows, count, self.spec, pictures.at))
        else:
            with self._kept(path, self.flow_cache) as frames:
                yield frames

    @contextlib.contextmanager
    def _pictures(self, path: str) -> Iterator[OpenFrames]:
        if self.cache is not None:
            frames, times_s = self.cache.read(path, self.size)
            yield OpenFrames(times_s, lambda rows: frames[rows], lambda: _held_until_s(path, times_s))
            return
        with open_video(path, threads=1) as video:
            yield OpenFrames(
                video.times_s, lambda rows: video.frames_at(rows, self.size), lambda: video.info.duration_s
            )

    @contextlib.contextmanager
    def _kept(self, path: str, flow_cache: FlowCache) -> Iterator[OpenFrames]:
        flow = flow_cache.read(path, self.size)
        alone = OpenFrames(flow.times_s, flow.read, lambda: _held_until_s(path, flow.times_s))
        if self.spec.modality == "flow":
            yield alone
            return
        with self._pictures(path) as pictures:
            # Damaged frames are left out by both, but not the same ones: flow needs two in a row.
            places = np.searchsorted(pictures.times_s, flow.times_s)
            yield replace(alone, at=lambda rows: joined(pictures.at(places[rows]), flow.read(rows), self.spec))


def _held_until_s(path: str, times_s: NDArray[np.float64]) -> float | None:
    """When the last of the frames that a cache has of a film goes; None where it is not the film's last one."""
    last_s, end_s = _end_of(path, file_state(path))
    return end_s if last_s <= times_s[-1] else None


@cache
def _end_of(path: str, state: tuple[object, ...]) -> tuple[float, float]:
    """When the last frame of a film comes and goes; `state` changes with the file."""
    with open_video(path, threads=1) as video:
        return float(video.times_s[-1]), video.info.duration_s
