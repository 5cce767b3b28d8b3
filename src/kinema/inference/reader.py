"""From files to clips: decoding and transforming in threads, ahead of the network, in constant memory.

Each frame is decoded, shrunk and cropped once, however many clips share it, and forgotten when the last of them has
gone out; a network that looks at each frame alone gets it once, too. So memory holds one window of frames and a short
queue of clips, for ten seconds of film as for two hours.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from kinema.clips.flow import with_channels
from kinema.clips.transforms import decode_size, view_transform
from kinema.clips.windows import Plan, WindowOptions, Windows, plan_windows
from kinema.errors import KinemaError, UnreadableVideo
from kinema.inference.clip_completion import Arrivals
from kinema.video import cut_off, open_video
from kinema.video.flow import with_followers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.choices import FastSeek
    from kinema.types import InputSpec, VideoInfo
    from kinema.video import Size, Video

log = logging.getLogger("kinema")

_CHUNK_BYTES = 32 << 20
_CHUNK_FRAMES = 32
_DENSE = 1.5
"""Frames are read one after the other where at most this many are read for each one wanted."""
_SHARED = 0.9
"""Clips are looked at frame by frame where at most this share of their frames is left when each is counted once."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A film that could be opened, and how it will be looked at."""

    number: int
    info: VideoInfo
    windows: Windows


@dataclass(frozen=True, slots=True)
class Clips:
    """The views uint8 [v c t h w] of one clip of film `number`; `window` is the window it belongs to."""

    number: int
    window: int
    views: Tensor


@dataclass(frozen=True, slots=True)
class Done:
    """Film `number` is over, or failed; `damage` says what is missing of it."""

    number: int
    error: KinemaError | None = None
    damage: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """A clip of `window` is complete; it is made of `frames`, each of which has come. None before `first` is needed again."""

    window: int
    frames: list[int]
    first: int


@dataclass(frozen=True, slots=True)
class Frames:
    """The views uint8 [v c n h w] of n frames of film `number`, by their numbers, and the clips that are complete with them."""

    number: int
    indices: list[int]
    views: Tensor
    looks: list[Look]


Item = Opened | Clips | Frames | Done


@dataclass(frozen=True, slots=True)
class ClipReader:
    """Reads films as a network wants them.

    Args:
        spec: how the network wants to be fed.
        windows: how densely to look.
        num_crops: 1 (centre) or 3.
        plan: chooses the clips; None is `plan_windows`.
        by_frame: the network can look at each frame alone; films whose clips share frames are then read as `Frames`.
        fast_seek: which frames are decoded at all; not for optical flow, which needs neighbours.
        decode_threads: threads of each film's decoder; None chooses by its size.
    """

    spec: InputSpec
    windows: WindowOptions
    num_crops: int = 1
    plan: Plan | None = None
    by_frame: bool = False
    fast_seek: FastSeek = "none"
    decode_threads: int | None = None

    def read(self, number: int, path: str) -> Iterator[Item]:
        """The items of one film, in order of time: opened, clips, done. Never raises: errors are in the last item."""
        try:
            with open_video(path, threads=self.decode_threads) as video:
                plan = (self.plan or plan_windows)(self.spec, video.times_s, video.info.duration_s, self.windows)
                yield Opened(number, video.info, plan)
                yield from self._items(number, video, plan)
                yield Done(number, damage=_damage(video))
        except KinemaError as error:
            yield Done(number, error)
        except Exception as error:  # one bad file must not end a run over a million
            log.debug("reading %s failed", path, exc_info=True)
            reason = f"{type(error).__name__}: {error}"
            yield Done(number, UnreadableVideo(f"cannot be read ({reason})", path, "convert it with ffmpeg"))

    def _items(self, number: int, video: Video, plan: Windows) -> Iterator[Item]:
        """The pixels of a film, whole clips or frames."""
        found = False
        read = self._frames if self._is_shared(plan.frames) else self._clips
        for item in read(number, video, plan):
            found = True
            yield item
        if not found:
            raise UnreadableVideo("no frame of this video can be decoded", video.info.path, "export it again")

    def _is_shared(self, frames: NDArray[np.int64]) -> bool:
        """Whether it pays to look at frames instead of clips: because clips have many in common, or few are decoded."""
        if not self.by_frame:
            return False
        return self.fast_seek != "none" or len(np.unique(frames)) <= _SHARED * frames.size

    def _clips(self, number: int, video: Video, plan: Windows) -> Iterator[Clips]:
        """Each clip as soon as its last frame is there."""
        arrivals, kept = Arrivals(plan.frames), dict[int, Tensor]()

        def clip(complete: tuple[int, list[int]]) -> Clips:
            views = torch.stack([kept[index] for index in complete[1]], dim=2)
            while next(iter(kept)) < arrivals.kept[0]:
                del kept[next(iter(kept))]
            return Clips(number, int(plan.owner[complete[0]]), views)

        for indices, views in self._views(video, np.unique(plan.frames)):
            for index, view in zip(indices, views.unbind(dim=2), strict=True):
                kept[index] = view
                yield from map(clip, arrivals.add(index))
        if kept:
            yield from map(clip, arrivals.rest())  # the end of the film is damaged, or not decoded

    def _frames(self, number: int, video: Video, plan: Windows) -> Iterator[Frames]:
        """Frames as they come, never more at once than a clip has, and which clips they complete."""
        arrivals = Arrivals(plan.frames)

        def looks(complete: Iterator[tuple[int, list[int]]]) -> list[Look]:
            return [Look(int(plan.owner[clip]), indices, arrivals.kept[0]) for clip, indices in complete]

        nothing: Tensor | None = None
        for indices, views in self._views(video, np.unique(plan.frames)):
            for first in range(0, len(indices), self.spec.clip_len):
                part = indices[first : first + self.spec.clip_len]
                complete = [look for index in part for look in looks(arrivals.add(index))]
                yield Frames(number, part, views[:, :, first : first + len(part)], complete)
            nothing = views[:, :, :0]
        if nothing is not None and (rest := looks(arrivals.rest())):
            yield Frames(number, [], nothing, rest)

    def _views(self, video: Video, wanted: NDArray[np.int64]) -> Iterator[tuple[list[int], Tensor]]:
        """Frame numbers and views [v c n h w]; resizing and cropping run on some frames at once."""
        view = view_transform(self.spec, self.num_crops)
        for indices, frames in self._channels(video, wanted):
            yield indices, view(torch.from_numpy(frames).permute(0, 3, 1, 2))

    def _channels(self, video: Video, wanted: NDArray[np.int64]) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
        """Frame numbers and pixels [n h w c]; with flow, one frame at a time."""
        size, count = decode_size(self.spec, train=False), video.info.num_frames
        if not self.spec.has_flow:
            yield from read_frames(video, wanted, size, self.fast_seek)
            return
        chunks = read_frames(video, with_followers(wanted, count), size)
        frames = (frame for numbers, pixels in chunks for frame in zip(numbers, pixels, strict=True))
        for number, channels in with_channels(frames, count, self.spec, set(wanted.tolist())):
            yield [number], channels[None]


def _damage(video: Video) -> str:
    """What could not be seen of a film that has been read; empty for a whole one."""
    lost = video.num_damaged
    frames = f"{lost} frame{'s' if lost > 1 else ''} could not be decoded" if lost else ""
    return " and ".join(filter(None, (cut_off(video.info, video.promised_s), frames)))


def read_frames(
    video: Video, wanted: NDArray[np.int64], size: Size, fast_seek: FastSeek = "none"
) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
    """Decode frames in chunks of bounded size: numbers and pixels [n h w c].

    Args:
        video: an open video.
        wanted: frame numbers, ascending.
        size: as the decoder takes it.
        fast_seek: other than "none", what comes are the frames that stand for those: see `Video.frames_near`.
    """
    if fast_seek != "none":
        yield from _chunks(video.frames_near(wanted, fast_seek, size))
        return
    stride = int(np.gcd.reduce(np.diff(wanted))) if len(wanted) > 1 else 1
    reach = int(wanted[-1] - wanted[0]) // stride + 1
    if reach > _DENSE * len(wanted):
        yield from _sparse(video, wanted, size)
        return
    needed = np.zeros(reach, dtype=np.bool_)
    needed[(wanted - wanted[0]) // stride] = True
    end_s = float(video.times_s[wanted[-1]]) + 1e-5
    read = video.iterate(size, start_s=float(video.times_s[wanted[0]]), end_s=end_s, stride=stride)
    yield from _chunks((index, frame) for index, _, frame in read if needed[(index - int(wanted[0])) // stride])


def _chunks(frames: Iterable[tuple[int, NDArray[np.uint8]]]) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
    numbers: list[int] = []
    chunk: list[NDArray[np.uint8]] = []
    for index, frame in frames:
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
            video.num_damaged += 1
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
