"""Where the frames of a data set come from: the files themselves, or caches; with optical flow where a network sees it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinema.clips.flow import channels_at, joined
from kinema.datasets.cache import FrameCache
from kinema.datasets.flow_cache import FlowCache
from kinema.types import InputSpec
from kinema.video import Size, open_video

Rows = NDArray[np.int64]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class OpenFrames:
    """Frames of an open video: when they are shown, [n], and how to get some of them, [k] -> [k h w c]."""

    times_s: NDArray[np.float64]
    at: Callable[[Rows], Pixels]


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
                yield OpenFrames(pictures.times_s, lambda rows: channels_at(rows, count, self.spec, pictures.at))
        else:
            with self._kept(path, self.flow_cache) as frames:
                yield frames

    @contextlib.contextmanager
    def _pictures(self, path: str) -> Iterator[OpenFrames]:
        if self.cache is not None:
            frames, times_s = self.cache.read(path, self.size)
            yield OpenFrames(times_s, lambda rows: frames[rows])
            return
        with open_video(path, threads=1) as video:
            yield OpenFrames(video.times_s, lambda rows: video.frames_at(rows, self.size))

    @contextlib.contextmanager
    def _kept(self, path: str, flow_cache: FlowCache) -> Iterator[OpenFrames]:
        flow = flow_cache.read(path, self.size)
        if self.spec.modality == "flow":
            yield OpenFrames(flow.times_s, flow.read)
            return
        with self._pictures(path) as pictures:
            # Damaged frames are left out by both, but not the same ones: flow needs two in a row.
            places = np.searchsorted(pictures.times_s, flow.times_s)
            yield OpenFrames(flow.times_s, lambda rows: joined(pictures.at(places[rows]), flow.read(rows), self.spec))
