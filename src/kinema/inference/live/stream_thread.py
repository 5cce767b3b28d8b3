"""Read a stream in a thread of its own, so that a slow network does not make the source wait."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kinema.inference.live.types import Frame, Stream


class StreamFrame(NamedTuple):
    """Frame `number` of a stream, when it arrived by `time.monotonic`, and its time.

    `time_s` says how far it is from other frames; `clock_s` is the time that users see, see `kinema.video.stream.Stream`.
    """

    number: int
    time_s: float
    arrived_s: float
    frame: Frame
    clock_s: float


class StreamThread(ABC):
    """Reads a stream to its end in a thread. A subclass decides which frames to keep.

    Two threads use its state: the reading thread writes, the network's thread takes. All of it is guarded by `changed`,
    which is notified at every change. A subclass sets its own attributes before it calls `__init__`, which starts the thread.

    Args:
        stream: is closed by `close`.
    """

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.changed = threading.Condition()
        self.error: Exception | None = None
        self.ended = self.closing = False
        self._thread = threading.Thread(target=self._read, daemon=True, name="live-stream")
        self._thread.start()

    @abstractmethod
    def keep(self, frame: StreamFrame) -> None:
        """Take a frame that arrived; called in the reading thread, without the lock."""

    def close(self) -> None:
        """Stop reading."""
        with self.changed:
            self.closing = True
            self.changed.notify_all()
        self.stream.close()
        self._thread.join(timeout=5)

    def _read(self) -> None:
        try:
            for number, (time_s, frame) in enumerate(self.stream):
                if self.closing:
                    break
                arrived_s = getattr(self.stream, "arrived_s", None) or time.monotonic()
                clock_s = getattr(self.stream, "clock_s", time_s)
                self.keep(StreamFrame(number, time_s, arrived_s, frame, clock_s))
        except Exception as error:  # raised again in the network's thread
            self.error = error
        finally:
            with self.changed:
                self.ended = True
                self.changed.notify_all()
