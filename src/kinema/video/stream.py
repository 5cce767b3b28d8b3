"""Read cameras, network streams and pipes: a thread decodes, the newest frames wait, older ones are dropped and counted.

So a network slower than the camera lags behind by a bounded time, not by more and more. A file is played at the pace of
its timestamps and can replace a camera.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

import av
import numpy as np

from kinema.errors import UnreadableVideo
from kinema.video.container import open_container, packets_of
from kinema.video.contract import Frame, Size, target_size
from kinema.video.packets import JUMP_S
from kinema.video.pipe import open_pipe
from kinema.video.pixels import FrameConverter, rotation_of

if TYPE_CHECKING:
    from av.container import InputContainer

_TIMEOUT_S = (15.0, 15.0)  # to open, to read
_CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}:none"), "win32": ("dshow", "video={}")}


def open_stream(source: str, *, size: Size = None, realtime: bool = True, keep: int = 32) -> Stream:
    """Open a camera ("0", "/dev/video0"), a pipe ("-"), a URL (rtsp, http, udp …) or a file.

    Args:
        source: what to read.
        size: short side in pixels, or (height, width), or None for the source's own size.
        realtime: play at the pace of the timestamps and drop frames that are not taken in time; False gives every frame as
            fast as frames are taken, for tests and files.
        keep: frames that may wait.

    Raises:
        UnreadableVideo: no such camera or file, no answer, or no video track.
    """
    stop = threading.Event()
    if source == "-":
        try:
            container, track = _open(source, open_pipe(stop), "is a video piped in?")
        finally:
            if stop.is_set():
                raise KeyboardInterrupt
    elif (source.isdecimal() and not os.path.exists(source)) or source.startswith("/dev/video"):
        kind, name = _CAMERAS.get(sys.platform, _CAMERAS["linux"])
        device = name.format(source) if source.isdecimal() else source
        if device.startswith("/dev/") and not os.path.exists(device):
            raise UnreadableVideo("no such camera", device, "check that it is plugged in, and its number")
        container, track = _open(source, device, "check that the camera is free and may be used", kind=kind)
    elif "://" in source and not os.path.exists(source):
        options = {"rtsp_transport": "tcp"} if source.startswith("rtsp") else {}
        container, track = _open(source, source, "check the address, and that the camera is on", options=options)
    else:
        container, track = open_container(source)
    return Stream(source, container, track, stop, size=size, realtime=realtime, keep=keep)


class Stream(Iterator[tuple[float, Frame]]):
    """Frames as they arrive: yields (seconds since the first frame, frame [h w c] uint8 RGB). `open_stream` makes it.

    Attributes:
        num_read: frames decoded so far.
        num_dropped: of these, frames that were not taken in time.
        arrived_s: arrival of the frame taken last, before its conversion to RGB, on the clock of `time.monotonic`.
        fps: frame rate that the source states, 25 if it states none.
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
        self._waiting: deque[tuple[float, Frame, float]] = deque()  # time, frame, arrival
        self._changed = threading.Condition()  # notified when `_waiting` or `_ended` changes
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
        """Stop reading and close the source. Closing twice is allowed."""
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
            reason = getattr(error, "strerror", None) or error
            do = "check the source, start again"
            self._failure = UnreadableVideo(f"the stream broke off ({reason})", self.source, do)
        finally:
            with contextlib.suppress(Exception):
                self._container.close()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _offer(self, time_s: float, frame: Frame, arrived_s: float) -> None:
        """Append a frame to those that wait: drop the oldest one if there is no room, or wait if frames may not be lost."""
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
        converter: FrameConverter | None = None
        shape = (0, 0)
        for packet in packets_of(self._container, self._track):
            if self._stop.is_set():
                return
            frames: list[av.VideoFrame] = []
            with contextlib.suppress(av.error.InvalidDataError, EOFError):  # damaged, as packets from a network may be
                frames = packet.decode()
            for decoded in frames:
                if converter is None or (decoded.height, decoded.width) != shape:  # a camera may change its size
                    shape = (decoded.height, decoded.width)
                    rotation = rotation_of(decoded)
                    height, width = target_size(*(shape[::-1] if rotation.transposed else shape), self._size)
                    converter = FrameConverter(height, width, rotation)
                time_s = clock.time_of(decoded)
                if self._realtime and self._stop.wait(clock.seconds_early(time_s)):
                    return
                arrived_s = time.monotonic()
                frame = np.empty((height, width, 3), np.uint8)
                converter.convert(decoded, frame)
                yield time_s, frame, arrived_s


class _Clock:
    """Times of frames in seconds since the first one, without jumps of the source's timestamps.

    Behind a backward step, or a forward step of more than `JUMP_S`, times go on one frame after the last; the offset that
    this takes is kept for all later frames. Frames without a timestamp come one frame after the last, too.
    """

    def __init__(self, frame_s: float) -> None:
        self._frame_s = frame_s
        self._offset_s = self._last_s = 0.0
        self._started: float | None = None

    def time_of(self, frame: av.VideoFrame) -> float:
        if frame.pts is None or frame.time_base is None:
            stated_s = self._last_s - self._offset_s + (self._frame_s if self._started is not None else 0.0)
        else:
            stated_s = float(frame.pts * frame.time_base)
        if self._started is None:
            self._started, self._offset_s = time.monotonic(), -stated_s
            return 0.0
        time_s = stated_s + self._offset_s
        if not 0 <= time_s - self._last_s <= JUMP_S:
            time_s = self._last_s + self._frame_s
            self._offset_s = time_s - stated_s
        self._last_s = time_s
        return time_s

    def seconds_early(self, time_s: float) -> float:
        """Seconds until a frame is due when the stream plays at its own pace; 0 if it is late."""
        assert self._started is not None
        return max(0.0, self._started + time_s - time.monotonic())


def _open(
    source: str, file: object, do: str, *, kind: str | None = None, options: dict[str, str] | None = None
) -> tuple[InputContainer, av.VideoStream]:
    try:
        container = av.open(file, "r", format=kind, options=options, timeout=_TIMEOUT_S, metadata_errors="ignore")
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableVideo(f"cannot open the stream ({reason})", source, do) from error
    if not container.streams.video:
        container.close()
        raise UnreadableVideo("no video track in this stream", source, "give a source with video")
    return container, container.streams.video[0]
