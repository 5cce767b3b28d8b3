"""From files to clips: decoding and transforming in threads, ahead of the network, in constant memory.

Each frame is decoded, shrunk and cropped once, however many clips share it, and forgotten when the last of them has
gone out. So memory holds one window of frames and a short queue of clips, for ten seconds of film as for two hours.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from kinema.clips.flow import with_channels
from kinema.clips.transforms import decode_size, view_transform
from kinema.errors import KinemaError, UnreadableVideo
from kinema.inference.windows import Plan, WindowOptions, Windows, plan_windows
from kinema.video import cut_off, open_video
from kinema.video.flow import with_followers

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from kinema.types import InputSpec, VideoInfo
    from kinema.video import Size, Video

log = logging.getLogger("kinema")

_CHUNK_BYTES = 32 << 20
_CHUNK_FRAMES = 32
_DENSE = 1.5
"""Frames are read one after the other where at most this many are read for each one wanted."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A film that could be opened, how it will be looked at, and what is missing of it."""

    number: int
    info: VideoInfo
    windows: Windows
    damage: str = ""


@dataclass(frozen=True, slots=True)
class Clips:
    """The views uint8 [v c t h w] of one clip of film `number`; `window` is the window it belongs to."""

    number: int
    window: int
    views: Tensor


@dataclass(frozen=True, slots=True)
class Done:
    """Film `number` is over, or failed."""

    number: int
    error: KinemaError | None = None


Item = Opened | Clips | Done


@dataclass(frozen=True, slots=True)
class ClipReader:
    """Reads films as a network wants them.

    Args:
        spec: how the network wants to be fed.
        windows: how densely to look.
        num_crops: 1 (centre) or 3.
        plan: chooses the clips; None is `plan_windows`.
    """

    spec: InputSpec
    windows: WindowOptions
    num_crops: int = 1
    plan: Plan | None = None

    def read(self, number: int, path: str) -> Iterator[Item]:
        """The items of one film, in order of time: opened, clips, done. Never raises: errors are in the last item."""
        try:
            with open_video(path) as video:
                plan = (self.plan or plan_windows)(self.spec, video.times_s, video.info.duration_s, self.windows)
                yield Opened(number, video.info, plan, cut_off(video.info))
                for clip, views in self._clips(video, plan.frames):
                    yield Clips(number, int(plan.owner[clip]), views)
        except KinemaError as error:
            yield Done(number, error)
        except Exception as error:  # one bad file must not end a run over a million
            log.debug("reading %s failed", path, exc_info=True)
            reason = f"{type(error).__name__}: {error}"
            yield Done(number, UnreadableVideo(f"cannot be read ({reason})", path, "convert it with ffmpeg"))
        else:
            yield Done(number)

    def _clips(self, video: Video, frames: NDArray[np.int64]) -> Iterator[tuple[int, Tensor]]:
        """Clip number and views [v c t h w], each as soon as its last frame is there."""
        order = np.argsort(frames.max(axis=1), kind="stable")
        last = frames.max(axis=1)[order]
        still_needed = np.minimum.accumulate(frames.min(axis=1)[order][::-1])[::-1]
        kept: dict[int, Tensor] = {}
        place = 0
        for index, view in self._views(video, np.unique(frames)):
            kept[index] = view
            while place < len(order) and last[place] <= index:
                yield int(order[place]), _stacked(kept, frames[order[place]])
                place += 1
                if place < len(order):
                    kept = _forget(kept, int(still_needed[place]))
        if not kept:
            raise UnreadableVideo("no frame of this video can be decoded", video.info.path, "export it again")
        for clip in order[place:]:  # the end of the film is damaged
            yield int(clip), _stacked(kept, frames[clip])

    def _views(self, video: Video, wanted: NDArray[np.int64]) -> Iterator[tuple[int, Tensor]]:
        """Frame number and views [v c h w]; resizing and cropping run on some frames at once."""
        view = view_transform(self.spec, self.num_crops)
        for indices, frames in self._channels(video, wanted):
            views = view(torch.from_numpy(frames).permute(0, 3, 1, 2))
            yield from zip(indices, views.unbind(dim=2), strict=True)

    def _channels(self, video: Video, wanted: NDArray[np.int64]) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
        """Frame numbers and pixels [n h w c]; with flow, one frame at a time."""
        size, count = decode_size(self.spec, train=False), video.info.num_frames
        if not self.spec.has_flow:
            yield from read_frames(video, wanted, size)
            return
        chunks = read_frames(video, with_followers(wanted, count), size)
        frames = (frame for numbers, pixels in chunks for frame in zip(numbers, pixels, strict=True))
        for number, channels in with_channels(frames, count, self.spec, set(wanted.tolist())):
            yield [number], channels[None]


def _stacked(kept: dict[int, Tensor], wanted: NDArray[np.int64]) -> Tensor:
    """One clip [v c t h w]; for a frame that could not be decoded the one before it stands in, else the next."""
    there = np.fromiter(kept, np.int64, len(kept))
    places = np.maximum(np.searchsorted(there, wanted, side="right") - 1, 0)
    return torch.stack([kept[int(there[place])] for place in places], dim=2)


def _forget(kept: dict[int, Tensor], first: int) -> dict[int, Tensor]:
    """Without the frames before `first`, but for the last of them if `first` itself is missing (yet)."""
    if next(iter(kept)) >= first:
        return kept
    newest = next(reversed(kept))
    return {index: view for index, view in kept.items() if index >= min(first, newest)}


def read_frames(video: Video, wanted: NDArray[np.int64], size: Size) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
    """Decode frames in chunks of bounded size: numbers and pixels [n h w c].

    Args:
        video: an open video.
        wanted: frame numbers, ascending.
        size: as the decoder takes it.
    """
    stride = int(np.gcd.reduce(np.diff(wanted))) if len(wanted) > 1 else 1
    reach = int(wanted[-1] - wanted[0]) // stride + 1
    if reach > _DENSE * len(wanted):
        yield from _sparse(video, wanted, size)
        return
    needed = np.zeros(reach, dtype=np.bool_)
    needed[(wanted - wanted[0]) // stride] = True
    end_s = float(video.times_s[wanted[-1]]) + 1e-5
    numbers: list[int] = []
    chunk: list[NDArray[np.uint8]] = []
    for index, _, frame in video.iterate(size, start_s=float(video.times_s[wanted[0]]), end_s=end_s, stride=stride):
        if needed[(index - int(wanted[0])) // stride]:
            numbers.append(index)
            chunk.append(frame)
        if len(chunk) >= _CHUNK_FRAMES or sum(part.nbytes for part in chunk) > _CHUNK_BYTES:
            yield numbers, np.stack(chunk)
            numbers, chunk = [], []
    if chunk:
        yield numbers, np.stack(chunk)


def _sparse(video: Video, wanted: NDArray[np.int64], size: Size) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
    num_frames = _CHUNK_FRAMES
    start = 0
    while start < len(wanted):
        part = wanted[start : start + num_frames]
        numbers, frames = _readable(video, part, size)
        start += len(part)
        if len(frames):
            num_frames = int(np.clip(_CHUNK_BYTES // frames[0].nbytes, 1, _CHUNK_FRAMES))
            yield numbers, frames


def _readable(video: Video, part: NDArray[np.int64], size: Size) -> tuple[list[int], NDArray[np.uint8]]:
    """Those frames that can be decoded; the others are left out with a warning."""
    try:
        return part.tolist(), video.frames_at(part, size)
    except UnreadableVideo as error:
        if len(part) == 1:
            log.warning("%s: a frame was left out", error)
            return [], np.empty((0, 0, 0, 3), np.uint8)
    numbers, frames = [], []
    for index in part:
        found, pixels = _readable(video, np.array([index]), size)
        numbers += found
        frames += list(pixels)
    return numbers, np.stack(frames) if frames else np.empty((0, 0, 0, 3), np.uint8)


class ReadAhead:
    """Reads several films in threads; iterate over it for their items. Leaving its block ends the threads.

    Items of one film come in order; films come interleaved where there are several threads.
    """

    def __init__(
        self, read: Callable[[int, str], Iterator[Item]], paths: Sequence[str], *, num_threads: int, depth: int
    ) -> None:
        self._read, self._paths = read, iter(enumerate(paths))
        self._left = len(paths)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._queue: queue.Queue[Item] = queue.Queue(maxsize=depth)
        count = max(1, min(num_threads, len(paths)))
        self._threads = [threading.Thread(target=self._work, daemon=True, name=f"decode-{i}") for i in range(count)]

    def __enter__(self) -> ReadAhead:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def __iter__(self) -> Iterator[Item]:
        while self._left:
            item = self._queue.get()
            self._left -= isinstance(item, Done)
            yield item

    def is_idle(self) -> bool:
        """Whether no item is waiting."""
        return self._queue.empty()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            for item in self._read(*job):
                if not self._put(item):
                    return

    def _next(self) -> tuple[int, str] | None:
        with self._lock:
            return None if self._stop.is_set() else next(self._paths, None)

    def _put(self, item: Item) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False
