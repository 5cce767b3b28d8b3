from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from kinema.inference.live.stream_thread import StreamFrame, StreamThread


class Stream:
    """Frames whose time is half of their number, until it is closed; then an error, if there is one."""

    def __init__(self, num_frames: int, error: Exception | None = None, arrived_s: float | None = None) -> None:
        self.num_frames, self.error, self.num_dropped = num_frames, error, 0
        self.closed = threading.Event()
        if arrived_s is not None:
            self.arrived_s = arrived_s

    def __iter__(self):
        for number in range(self.num_frames):
            yield number / 2, np.zeros((2, 2, 3), np.uint8)
        if self.error:
            raise self.error

    def close(self) -> None:
        self.closed.set()


class Kept(StreamThread):
    def __init__(self, stream: Stream, wait: threading.Event | None = None) -> None:
        self.frames: list[StreamFrame] = []
        self.wait = wait
        super().__init__(stream)

    def keep(self, frame: StreamFrame) -> None:
        if self.wait:
            self.wait.wait(5)
        self.frames.append(frame)


def until_ended(thread: StreamThread) -> None:
    with thread.changed:
        assert thread.changed.wait_for(lambda: thread.ended, timeout=5)


def test_every_frame_arrives_with_its_number_and_times() -> None:
    before_s = time.monotonic()
    thread = Kept(Stream(3))
    until_ended(thread)
    assert [(frame.number, frame.time_s) for frame in thread.frames] == [(0, 0.0), (1, 0.5), (2, 1.0)]
    assert before_s <= thread.frames[0].arrived_s <= time.monotonic()
    assert thread.error is None


def test_a_stream_that_knows_when_a_frame_arrived_is_believed() -> None:
    thread = Kept(Stream(1, arrived_s=12.5))
    until_ended(thread)
    assert thread.frames[0].arrived_s == 12.5


def test_an_error_of_the_stream_is_kept_for_the_networks_thread() -> None:
    thread = Kept(Stream(1, error=OSError("cable pulled")))
    until_ended(thread)
    assert len(thread.frames) == 1
    with pytest.raises(OSError, match="cable pulled"):
        raise thread.error


def test_close_stops_reading_and_closes_the_stream() -> None:
    release, stream = threading.Event(), Stream(1000)
    thread = Kept(stream, wait=release)
    closing = threading.Thread(target=thread.close)
    closing.start()
    assert stream.closed.wait(5)
    release.set()
    closing.join(5)
    until_ended(thread)
    assert len(thread.frames) < 1000
