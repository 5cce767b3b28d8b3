"""Read cameras, network streams and pipes: threads read and decode, the newest frames wait, older ones are dropped and counted.

Nothing waits for the timestamps of a live source. So neither a slow network nor a camera with a wrong clock makes it lag by
more and more. Only a file is played at the pace of its timestamps, and can replace a camera.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import av
import numpy as np

from kinema.errors import KinemaError, UnreadableVideo
from kinema.video.container import packets_of
from kinema.video.contract import Frame, Size, target_size
from kinema.video.live_packets import LivePackets
from kinema.video.pixels import FrameConverter, rotation_of
from kinema.video.stream_clock import FileClock, LiveClock
from kinema.video.stream_source import Source, open_source, reason_of


def open_stream(source: str, *, size: Size = None, realtime: bool = True, keep: int = 32, reconnect: int = 0) -> Stream:
    """Open a camera ("0", "/dev/video0"), a pipe ("-"), a URL (rtsp, http, udp …) or a file.

    Args:
        source: what to read.
        size: short side in pixels, or (height, width), or None for the source's own size.
        realtime: play files at the pace of their timestamps, take live sources as they arrive, and drop frames that are not
            taken in time; False gives every frame as fast as frames are taken, for tests and files.
        keep: frames that may wait.
        reconnect: how often in a row a camera or an address that dropped is opened again.

    Raises:
        UnreadableVideo: no such camera or file, no answer, or no video track.
    """
    stop = threading.Event()
    return Stream(source, open_source(source, stop), stop, size=size, realtime=realtime, keep=keep, reconnect=reconnect)


class Stream(Iterator[tuple[float, Frame]]):
    """Frames as they arrive: yields (seconds since the first frame, frame [h w c] uint8 RGB). `open_stream` makes it.

    The seconds are the source's own as far as they can be believed, so that they say how far apart two frames are: see
    `kinema.video.stream_clock`.

    Attributes:
        is_live: not a file.
        num_read: frames decoded so far.
        num_dropped: frames that were not taken in time, or not decoded.
        arrived_s: arrival of the frame taken last, before it was decoded, on the clock of `time.monotonic`; of a file, when
            the frame was due.
        clock_s: time of the frame taken last: of a live source, seconds from the arrival of its first frame to that of this
            one; of a file, seconds of the video.
        fps: frame rate that the source states, 25 if it states none.
    """

    def __init__(
        self,
        source: str,
        opened: Source,
        stop: threading.Event,
        *,
        size: Size,
        realtime: bool,
        keep: int,
        reconnect: int,
    ) -> None:
        self.source, self.num_read, self.arrived_s, self.clock_s = source, 0, 0.0, 0.0
        self.is_live, self.fps = opened.is_live, opened.fps
        self._opened, self._size, self._realtime, self._keep = opened, size, realtime, max(keep, 1)
        self._waiting: deque[tuple[float, Frame, float]] = deque()  # time, frame, arrival
        self._num_late = 0
        self._first_arrived_s: float | None = None
        self._changed = threading.Condition()  # notified when `_waiting` or `_ended` changes
        self._stop, self._ended = stop, False
        self._failure: Exception | None = None
        self._live = LivePackets(source, opened, stop, reconnect) if opened.is_live and realtime else None
        self._thread = threading.Thread(target=self._work, name=f"kinema stream {source}", daemon=True)
        self._thread.start()

    @property
    def num_dropped(self) -> int:
        """Frames that arrived and were not given: not taken in time, or not decoded."""
        return self._num_late + (self._live.num_skipped if self._live else 0)

    @property
    def num_received(self) -> int:
        """Frames that arrived so far."""
        return self.num_read + (self._live.num_skipped if self._live else 0)

    @property
    def num_reconnections(self) -> int:
        """How often the source dropped and was opened again."""
        return self._live.num_reconnections if self._live else 0

    def __next__(self) -> tuple[float, Frame]:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended)
            if self._waiting:
                time_s, frame, self.arrived_s = self._waiting.popleft()
                if self._first_arrived_s is None:
                    self._first_arrived_s = self.arrived_s
                self.clock_s = self.arrived_s - self._first_arrived_s if self.is_live else time_s
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
        if self._live is not None:
            self._live.wake()
        self._thread.join(timeout=5.0)
        if self._live is not None:
            self._live.join()

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
        except KinemaError as error:
            self._failure = error
        except Exception as error:
            do = "check the source, start again"
            self._failure = UnreadableVideo(f"the stream broke off ({reason_of(error)})", self.source, do)
        finally:
            if self._live is None:
                with contextlib.suppress(Exception):
                    self._opened.container.close()
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
                self._num_late += 1
            if not self._stop.is_set():
                self._waiting.append((time_s, frame, arrived_s))
            self._changed.notify_all()

    def _frames(self) -> Iterator[tuple[float, Frame, float]]:
        convert = _Converter(self._size)
        for time_s, arrived_s, decoded in self._arriving() if self._live else self._playing():
            yield time_s, convert(decoded), arrived_s

    def _arriving(self) -> Iterator[tuple[float, float, av.VideoFrame]]:
        """Time, arrival and picture of each frame of a live source."""
        assert self._live is not None
        clock, connection = LiveClock(self._opened.has_timestamps), 0
        with contextlib.closing(iter(self._live)) as packets:
            for packet in packets:
                if packet.connection != connection:
                    connection = packet.connection
                    clock.restart(self._live.source.has_timestamps)
                for decoded in decode(packet.packet):
                    yield clock.time_of(decoded, packet.arrived_s), packet.arrived_s, decoded

    def _playing(self) -> Iterator[tuple[float, float, av.VideoFrame]]:
        """Time, moment and picture of each frame of a file, or of a source of which every frame is wanted."""
        clock = FileClock(1 / self.fps)
        for packet in packets_of(self._opened.container, self._opened.track):
            if self._stop.is_set():
                return
            for decoded in decode(packet):
                time_s = clock.time_of(decoded)
                if self._realtime and self._stop.wait(clock.seconds_early(time_s)):
                    return
                yield time_s, time.monotonic(), decoded


def decode(packet: av.Packet) -> list[av.VideoFrame]:
    """Frames that a packet completes; none if it is damaged, as packets from a network may be."""
    with contextlib.suppress(av.error.InvalidDataError, EOFError):
        return packet.decode()
    return []


class _Converter:
    """Converts frames to RGB; a camera may change its size."""

    def __init__(self, size: Size) -> None:
        self._size = size
        self._stored: tuple[int, int] | None = None

    def __call__(self, decoded: av.VideoFrame) -> Frame:
        stored = (decoded.height, decoded.width)
        if self._stored != stored:
            self._stored, rotation = stored, rotation_of(decoded)
            self._shape = target_size(*(stored[::-1] if rotation.transposed else stored), self._size)
            self._convert = FrameConverter(*self._shape, rotation)
        frame = np.empty((*self._shape, 3), np.uint8)
        self._convert.convert(decoded, frame)
        return frame
