"""Read files as clips: threads decode and transform ahead of the network, in constant memory.

Each frame is decoded, resized and cropped once, however many clips share it, and dropped when the last of these clips is
complete. A network that encodes each frame alone gets each frame once too. So memory holds the frames of one window and a
short queue of clips, for ten seconds of video as for two hours.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from kinema.clips.flow import with_channels
from kinema.clips.transforms import decode_size, view_transform
from kinema.clips.windows import Plan, WindowOptions, Windows, plan_windows
from kinema.errors import KinemaError, UnreadableVideo
from kinema.inference.clip_completion import ClipCompletion, CompleteClip
from kinema.types import IMAGE_FPS
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
"""Largest number of frames read per wanted frame for which a video is read from start to end instead of by seeking."""
_SHARED = 0.9
"""Largest share of distinct frames in a plan for which frames are encoded one by one instead of in clips."""


@dataclass(frozen=True, slots=True)
class VideoStart:
    """Video `number` is open; `windows` is the plan of its clips."""

    number: int
    info: VideoInfo
    windows: Windows


@dataclass(frozen=True, slots=True)
class ClipViews:
    """The views uint8 [v c t h w] of one clip of video `number`, which belongs to window `window`."""

    number: int
    window: int
    views: Tensor


@dataclass(frozen=True, slots=True)
class FrameClip:
    """A clip of `window` whose `frames` have all arrived. No later clip needs a frame before `first_needed`."""

    window: int
    frames: list[int]
    first_needed: int


@dataclass(frozen=True, slots=True)
class FrameViews:
    """The views uint8 [v c n h w] of n frames of video `number`, their numbers, and the clips that they complete."""

    number: int
    indices: list[int]
    views: Tensor
    clips: list[FrameClip]


@dataclass(frozen=True, slots=True)
class VideoEnd:
    """Video `number` ended or failed; `damage` says which part of it could not be read."""

    number: int
    error: KinemaError | None = None
    damage: str = ""


Item = VideoStart | ClipViews | FrameViews | VideoEnd


@dataclass(frozen=True, slots=True)
class ClipReader:
    """Reads videos as the input of a network.

    Args:
        spec: input of the network.
        windows: how densely windows are placed.
        num_crops: 1 (centre) or 3.
        plan: plans the clips; None is `plan_windows`.
        by_frame: the network can encode each frame alone; videos whose clips share frames are then read as `FrameViews`.
        fast_seek: which frames may be skipped by the decoder; not for optical flow, which needs neighbouring frames.
        decode_threads: threads of each video's decoder; None chooses by the size of its frames.
        image_fps: frame rate of folders of pictures.
    """

    spec: InputSpec
    windows: WindowOptions
    num_crops: int = 1
    plan: Plan | None = None
    by_frame: bool = False
    fast_seek: FastSeek = "none"
    decode_threads: int | None = None
    image_fps: float = IMAGE_FPS

    def read(self, number: int, path: str) -> Iterator[Item]:
        """Items of one video in order of time: start, clips or frames, end. Never raises: the last item has the error."""
        try:
            with open_video(path, threads=self.decode_threads, image_fps=self.image_fps) as video:
                plan = (self.plan or plan_windows)(self.spec, video.times_s, video.info.duration_s, self.windows)
                yield VideoStart(number, video.info, plan)
                # Encoding frame by frame pays if clips share frames, or if few frames are decoded.
                shares = self.fast_seek != "none" or len(np.unique(plan.frames)) <= _SHARED * plan.frames.size
                read, found = self._frames if self.by_frame and shares else self._clips, False
                for item in read(number, video, plan):
                    found = True
                    yield item
                if not found:
                    raise UnreadableVideo("no frame of this video can be decoded", video.info.path, "export it again")
                damage = " and ".join(filter(None, (cut_off(video.info, video.promised_s), video.damage)))
                yield VideoEnd(number, damage=damage)
        except KinemaError as error:
            yield VideoEnd(number, error)
        except Exception as error:  # one bad file must not end a run over a million files
            log.debug("reading %s failed", path, exc_info=True)
            reason = f"{type(error).__name__}: {error}"
            yield VideoEnd(number, UnreadableVideo(f"cannot be read ({reason})", path, "convert it with ffmpeg"))

    def _clips(self, number: int, video: Video, plan: Windows) -> Iterator[ClipViews]:
        """Each clip as soon as its last frame arrives."""
        completion, kept = ClipCompletion(plan.frames), dict[int, Tensor]()

        def clip_views(clip: CompleteClip) -> ClipViews:
            views = torch.stack([kept[index] for index in clip.frames], dim=2)
            while next(iter(kept)) < completion.kept[0]:
                del kept[next(iter(kept))]
            return ClipViews(number, int(plan.owner[clip.row]), views)

        for indices, views in self._views(video, np.unique(plan.frames)):
            for index, view in zip(indices, views.unbind(dim=2), strict=True):
                kept[index] = view
                yield from map(clip_views, completion.add(index))
        if kept:
            yield from map(clip_views, completion.finish())  # the last frames are damaged or were skipped

    def _frames(self, number: int, video: Video, plan: Windows) -> Iterator[FrameViews]:
        """Frames in groups of at most a clip's length, with the clips that they complete."""
        completion = ClipCompletion(plan.frames)

        def complete(clips: Iterable[CompleteClip]) -> list[FrameClip]:
            return [FrameClip(int(plan.owner[clip.row]), clip.frames, completion.kept[0]) for clip in clips]

        empty: Tensor | None = None
        for indices, views in self._views(video, np.unique(plan.frames)):
            for first in range(0, len(indices), self.spec.clip_len):
                group = indices[first : first + self.spec.clip_len]
                clips = [clip for index in group for clip in complete(completion.add(index))]
                yield FrameViews(number, group, views[:, :, first : first + len(group)], clips)
            empty = views[:, :, :0]
        if empty is not None and (rest := complete(completion.finish())):
            yield FrameViews(number, [], empty, rest)

    def _views(self, video: Video, wanted: NDArray[np.int64]) -> Iterator[tuple[list[int], Tensor]]:
        """Frame numbers and views [v c n h w], resized and cropped some frames at a time; with flow, one at a time."""
        view, size = view_transform(self.spec, self.num_crops), decode_size(self.spec, train=False)
        if not self.spec.has_flow:
            for indices, pixels in read_frames(video, wanted, size, self.fast_seek):
                yield indices, view(torch.from_numpy(pixels).permute(0, 3, 1, 2))
            return
        count = video.info.num_frames
        chunks = read_frames(video, with_followers(wanted, count), size)
        frames = (frame for indices, pixels in chunks for frame in zip(indices, pixels, strict=True))
        for index, channels in with_channels(frames, count, self.spec, set(wanted.tolist())):
            yield [index], view(torch.from_numpy(channels[None]).permute(0, 3, 1, 2))


def read_frames(
    video: Video, wanted: NDArray[np.int64], size: Size, fast_seek: FastSeek = "none"
) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
    """Decode frames in chunks of bounded size: numbers and pixels [n h w c].

    Args:
        video: an open video.
        wanted: frame numbers, ascending.
        size: as the decoder takes it.
        fast_seek: other than "none", the frames that replace the wanted ones are decoded: see `Video.frames_near`.
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
    """Seek to each frame; the size of the first chunk's frames sets that of the other chunks."""
    num_frames, start = _CHUNK_FRAMES, 0
    while start < len(wanted):
        part = wanted[start : start + num_frames]
        numbers, frames = _readable(video, part, size)
        start += len(part)
        if len(frames):
            num_frames = int(np.clip(_CHUNK_BYTES // frames[0].nbytes, 1, _CHUNK_FRAMES))
            yield numbers, frames


def _readable(video: Video, part: NDArray[np.int64], size: Size) -> tuple[list[int], NDArray[np.uint8]]:
    """The frames that can be decoded; the others are left out with a warning."""
    try:
        return part.tolist(), video.frames_at(part, size)
    except UnreadableVideo:
        if len(part) == 1:
            video.count_lost(part.tolist(), 1)
            return [], np.empty((0, 0, 0, 3), np.uint8)
    numbers, frames = [], []
    for index in part:
        found, pixels = _readable(video, np.array([index]), size)
        numbers += found
        frames += list(pixels)
    return numbers, np.stack(frames) if frames else np.empty((0, 0, 0, 3), np.uint8)


Piece = TypeVar("Piece")


class ReadAhead(Generic[Piece]):
    """Reads videos in threads; iterate over it for their items. Leaving its context ends the threads.

    Items of one video come in order; with several threads, the items of videos are interleaved.

    Args:
        read: gives the items of a video by number and path, a `VideoEnd` last.
        paths: paths of the videos.
        num_threads: videos that are read at the same time.
        depth: length of the queue; readers wait while it is full.
    """

    def __init__(
        self, read: Callable[[int, str], Iterator[Piece]], paths: Sequence[str], *, num_threads: int, depth: int
    ) -> None:
        self._read, self._paths = read, iter(enumerate(paths))
        self._num_left = len(paths)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._queue: queue.Queue[Piece] = queue.Queue(maxsize=depth)
        count = max(1, min(num_threads, len(paths)))
        self._threads = [threading.Thread(target=self._work, daemon=True, name=f"decode-{i}") for i in range(count)]

    def __enter__(self) -> ReadAhead[Piece]:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def __iter__(self) -> Iterator[Piece]:
        while self._num_left:
            item = self._queue.get()
            self._num_left -= isinstance(item, VideoEnd)
            yield item

    def _work(self) -> None:
        """Read videos until none is left or the context is left."""
        while not self._stop.is_set():
            with self._lock:
                job = next(self._paths, None)
            if job is None:
                return
            for item in self._read(*job):
                is_queued = False
                while not is_queued:
                    if self._stop.is_set():
                        return
                    with contextlib.suppress(queue.Full):
                        self._queue.put(item, timeout=0.1)  # without a timeout, a full queue would block the end
                        is_queued = True
