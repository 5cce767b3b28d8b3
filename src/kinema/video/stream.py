"""Cameras, network streams and pipes: a thread reads, the newest frames wait, older ones are dropped and counted.

A network that is slower than the camera so falls behind by a bounded time, never by more and more. A file is played at
the pace of its timestamps, so that it stands in for a camera.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast

import av
import numpy as np

from kinema.errors import UnreadableVideo
from kinema.video.container import open_container, packets_of
from kinema.video.contract import Frame, Size, target_size
from kinema.video.packets import LEAP_S
from kinema.video.pixels import Painter, turn_of

if TYPE_CHECKING:
    from av.container import InputContainer

_TIMEOUT_S = (15.0, 15.0)  # to open, to read
_CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}:none"), "win32": ("dshow", "video={}")}


def open_stream(source: str, *, size: Size = None, realtime: bool = True, keep: int = 32) -> Stream:
    """Open a camera ("0", "/dev/video0"), a pipe ("-"), a URL (rtsp, http, udp …) or a file.

    Args:
        source: what to read.
        size: short side in pixels, or (height, width), or None.
        realtime: play at the pace of the timestamps and drop what nobody takes in time; False reads every frame as
        quickly as
            they are taken, for tests and files.
        keep: frames that may wait.

    Raises:
        UnreadableVideo: no such camera or file, nothing answers, or no picture track in it.
    """
    stop = threading.Event()
    container, track = _open_source(source, stop)
    return Stream(source, container, track, stop, size=size, realtime=realtime, keep=keep)


class Stream(Iterator[tuple[float, Frame]]):
    """Frames as they come: yields (seconds since the first frame, frame [h w c] uint8 RGB). Made by `open_stream`.

    Attributes:
        num_read: frames decoded so far.
        num_dropped: of these, frames that nobody took in time.
        arrived_s: when the frame taken last was there, before it was converted to RGB, on the clock of `time.monotonic`.
        fps: frames a second that the source claims, 25 if it claims none.
    """

    def __init__(
        self,
        source: str,
        container: InputContainer,
        track: av.VideoStream,
        stop: threading.Event,
        *,
        size: Size,
        realtime: bool,
        keep: int,
    ) -> None:
        self.source, self.num_read, self.num_dropped, self.arrived_s = source, 0, 0, 0.0
        rate = track.average_rate or track.guessed_rate
        self.fps = float(rate) if rate and 0 < rate <= 1000 else 25.0
        self._container, self._track = container, track
        self._size, self._realtime, self._keep = size, realtime, max(keep, 1)
        self._waiting: deque[tuple[float, Frame, float]] = deque()
        self._changed = threading.Condition()
        self._stop, self._ended = stop, False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._work, name=f"kinema stream {source}", daemon=True)
        self._thread.start()

    def __next__(self) -> tuple[float, Frame]:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended)
            if self._waiting:
                time_s, frame, self.arrived_s = self._waiting.popleft()
                self._changed.notify_all()
                return time_s, frame
        if self._failure is not None and not self._stop.is_set():
            raise self._failure
        raise StopIteration

    def close(self) -> None:
        """Stop reading and let go of the source. Twice is fine."""
        self._stop.set()
        with self._changed:
            self._waiting.clear()
            self._changed.notify_all()
        self._thread.join(timeout=5.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # The reading thread -----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            for time_s, frame, arrived_s in self._frames():
                self._offer(time_s, frame, arrived_s)
                if self._stop.is_set():
                    break
        except Exception as error:
            self._failure = UnreadableVideo(
                f"the stream broke off ({getattr(error, 'strerror', None) or error})",
                self.source,
                "check the source, start again",
            )
        finally:
            with contextlib.suppress(Exception):
                self._container.close()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _offer(self, time_s: float, frame: Frame, arrived_s: float) -> None:
        with self._changed:
            self.num_read += 1
            if not self._realtime:
                self._changed.wait_for(lambda: len(self._waiting) < self._keep or self._stop.is_set())
            elif len(self._waiting) >= self._keep:
                self._waiting.popleft()
                self.num_dropped += 1
            if not self._stop.is_set():
                self._waiting.append((time_s, frame, arrived_s))
            self._changed.notify_all()

    def _frames(self) -> Iterator[tuple[float, Frame, float]]:
        clock = _Clock(1 / self.fps)
        painter: Painter | None = None
        shape = (0, 0)
        for picture in self._pictures():
            if painter is None or (picture.height, picture.width) != shape:
                shape = (picture.height, picture.width)
                turn = turn_of(picture)
                height, width = target_size(*(shape[::-1] if turn.transposed else shape), self._size)
                painter = Painter(height, width, turn)
            time_s = clock.time_of(picture)
            if self._realtime and self._stop.wait(clock.seconds_early(time_s)):
                return
            arrived_s = time.monotonic()
            frame = np.empty((height, width, 3), np.uint8)
            painter.paint(picture, frame)
            yield time_s, frame, arrived_s

    def _pictures(self) -> Iterator[av.VideoFrame]:
        for packet in packets_of(self._container, self._track):
            if self._stop.is_set():
                return
            with contextlib.suppress(av.error.InvalidDataError, EOFError):  # a damaged packet, as networks lose them
                yield from packet.decode()


class _Clock:
    """Seconds since the first frame by the source's timestamps without their leaps, and how early a frame is."""

    def __init__(self, step_s: float) -> None:
        self._step_s = step_s
        self._offset_s = self._last_s = 0.0
        self._started: float | None = None

    def time_of(self, picture: av.VideoFrame) -> float:
        told = self._told(picture)
        if self._started is None:
            self._started, self._offset_s = time.monotonic(), -told
            return 0.0
        time_s = told + self._offset_s
        if not 0 <= time_s - self._last_s <= LEAP_S:
            time_s = self._last_s + self._step_s
            self._offset_s = time_s - told
        self._last_s = time_s
        return time_s

    def _told(self, picture: av.VideoFrame) -> float:
        if picture.pts is None or picture.time_base is None:
            return self._last_s - self._offset_s + (self._step_s if self._started is not None else 0.0)
        return float(picture.pts * picture.time_base)

    def seconds_early(self, time_s: float) -> float:
        assert self._started is not None
        return max(0.0, self._started + time_s - time.monotonic())


def _open_source(source: str, stop: threading.Event) -> tuple[InputContainer, av.VideoStream]:
    if source == "-":
        try:
            return _opened(source, _piped(stop), "is a video piped in?")
        finally:
            if stop.is_set():
                raise KeyboardInterrupt
    if (source.isdecimal() and not os.path.exists(source)) or source.startswith("/dev/video"):
        return _open_camera(source)
    if "://" in source:
        options = {"rtsp_transport": "tcp"} if source.startswith("rtsp") else {}
        return _opened(source, source, "check the address, and that the camera is on", options=options)
    return open_container(source)


class _Pipe:
    """Standard input as it comes: a read gives what is there, and ends where it is to stop.

    `sys.stdin.buffer` waits until all bytes are there, and ends the process with an error if it still waits at its exit.

    Args:
        stop: set when no more is wanted.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop, self._file, self._head = stop, sys.stdin.fileno(), b""

    def peek(self, size: int) -> bytes:
        """The first bytes, which are read all the same."""
        while len(self._head) < size and (more := self._next(size - len(self._head))):
            self._head += more
        return self._head

    def read(self, size: int = 1 << 15, /) -> bytes:
        """At most so many bytes, and none at the end."""
        found, self._head = self._head[:size], self._head[size:]
        try:
            return found or self._next(size)
        except KeyboardInterrupt:  # PyAV would swallow it
            self._stop.set()
            return b""

    def _next(self, size: int) -> bytes:
        while sys.platform != "win32" and not select.select([self._file], [], [], 0.1)[0]:
            if self._stop.is_set():
                return b""
        return os.read(self._file, size)


def _piped(stop: threading.Event) -> BinaryIO | _Pipe:
    """Standard input; a film whose index stands at its end is taken in as a whole first, into a temporary file."""
    if sys.stdin.buffer.seekable():
        return sys.stdin.buffer
    pipe = _Pipe(stop)
    if not _index_comes_last(pipe.peek(64)):
        return pipe
    film = tempfile.TemporaryFile()  # noqa: SIM115  closed when nobody holds it any longer
    shutil.copyfileobj(pipe, film)
    film.seek(0)
    return cast("BinaryIO", film)


def _index_comes_last(head: bytes) -> bool:
    """Whether the beginning of a file is that of an MP4 or MOV film whose pictures come before their index."""
    place, kind = 0, head[4:8]
    if kind != b"ftyp":
        return False
    while kind and kind not in (b"mdat", b"moov", b"moof"):
        place += max(int.from_bytes(head[place : place + 4], "big"), 8)
        kind = head[place + 4 : place + 8]
    return kind == b"mdat"


def _open_camera(source: str) -> tuple[InputContainer, av.VideoStream]:
    kind, name = _CAMERAS.get(sys.platform, _CAMERAS["linux"])
    device = name.format(source) if source.isdecimal() else source
    if device.startswith("/dev/") and not os.path.exists(device):
        raise UnreadableVideo("no such camera", device, "check that it is plugged in, and its number")
    return _opened(source, device, "check that the camera is free and may be used", format=kind)


def _opened(source: str, file: Any, do: str, **how: Any) -> tuple[InputContainer, av.VideoStream]:
    try:
        container = av.open(file, "r", timeout=_TIMEOUT_S, metadata_errors="ignore", **how)
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableVideo(f"cannot open the stream ({reason})", source, do) from error
    if not container.streams.video:
        container.close()
        raise UnreadableVideo("no picture track in this stream", source, "give a source with video")
    return container, container.streams.video[0]
