"""Standard input as a video file that PyAV can read while the data arrive."""

from __future__ import annotations

import os
import select
import shutil
import sys
import tempfile
import threading
from typing import BinaryIO, cast


class Pipe:
    """Standard input, read without blocking for good: a read returns what is there, and nothing once `stop` is set.

    `sys.stdin.buffer` waits until all requested bytes are there, and ends the process with an error if it still waits when
    the process exits.

    Args:
        stop: set when no more data are wanted.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop, self._file, self._head = stop, sys.stdin.fileno(), b""

    def peek(self, size: int) -> bytes:
        """The first bytes; later reads return them again."""
        while len(self._head) < size and (more := self._next(size - len(self._head))):
            self._head += more
        return self._head

    def read(self, size: int = 1 << 15, /) -> bytes:
        """At most `size` bytes; none at the end."""
        found, self._head = self._head[:size], self._head[size:]
        try:
            return found or self._next(size)
        except KeyboardInterrupt:  # PyAV, which calls this method, would swallow it
            self._stop.set()
            return b""

    def _next(self, size: int) -> bytes:
        # `select` wakes up ten times a second, so that a pipe without data can still be stopped.
        while sys.platform != "win32" and not select.select([self._file], [], [], 0.1)[0]:
            if self._stop.is_set():
                return b""
        return os.read(self._file, size)


def open_pipe(stop: threading.Event) -> BinaryIO | Pipe:
    """Open standard input; a video with its index at the end is copied to a temporary file first, to be seekable.

    Args:
        stop: set when no more data are wanted.
    """
    if sys.stdin.buffer.seekable():
        return sys.stdin.buffer
    pipe = Pipe(stop)
    if not _index_comes_last(pipe.peek(64)):
        return pipe
    copy = tempfile.TemporaryFile()  # noqa: SIM115  closed when the last reference to it is gone
    shutil.copyfileobj(pipe, copy)
    copy.seek(0)
    return cast("BinaryIO", copy)


def _index_comes_last(head: bytes) -> bool:
    """Whether these first bytes are those of an MP4 or MOV file whose frames (mdat) come before their index (moov)."""
    place, kind = 0, head[4:8]
    if kind != b"ftyp":
        return False
    while kind and kind not in (b"mdat", b"moov", b"moof"):
        place += max(int.from_bytes(head[place : place + 4], "big"), 8)
        kind = head[place + 4 : place + 8]
    return kind == b"mdat"
