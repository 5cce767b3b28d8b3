"""Packets of a live source as they arrive, so that neither the decoder nor the network makes the source wait.

A thread reads, notes when each packet arrived, and opens the source again when it drops. If the decoder is too slow or a
backlog came, the packets before the newest key frame are skipped and counted.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Generator
from typing import TYPE_CHECKING, NamedTuple

from kinema.errors import UnreadableVideo
from kinema.video.container import packets_of
from kinema.video.stream_source import Source, open_source, reason_of

if TYPE_CHECKING:
    import av

_log = logging.getLogger("kinema")

_MOST_BEHIND_S = 0.25  # older packets are skipped, up to the newest key frame
_MOST_WAITING = 512  # packets without a key frame between them; then the source has to wait
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0  # before the first attempt to open a source again, and at most
_STEADY_S = 5.0  # a connection that lasts so long ends a row of failures


class LivePacket(NamedTuple):
    """A packet, when it arrived by `time.monotonic`, and the number of the connection that it came by."""

    packet: av.Packet
    arrived_s: float
    connection: int


class LivePackets:
    """Iterates over the packets of a live source until it ends for good.

    Args:
        name: what `open_source` opens again.
        source: it, opened.
        stop: set when no more packets are wanted; then call `wake`.
        attempts: how often in a row a source that dropped is opened again; 0 ends at the first drop.

    Attributes:
        num_skipped: packets that were not decoded.
        num_reconnections: how often the source was opened again.
    """

    def __init__(self, name: str, source: Source, stop: threading.Event, attempts: int) -> None:
        self.name, self.source, self.attempts = name, source, attempts
        self.num_skipped = self.num_reconnections = 0
        self._stop, self._ended = stop, False
        self._error: Exception | None = None
        self._waiting: deque[LivePacket] = deque()
        self._changed = threading.Condition()  # notified when `_waiting`, `_ended` or `stop` changes
        self._decoding = threading.Lock()  # held while a packet is decoded: its source must not be closed
        self._thread = threading.Thread(target=self._work, name=f"kinema packets {name}", daemon=True)
        self._thread.start()

    def __iter__(self) -> Generator[LivePacket, None, None]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended or self._stop.is_set())
                if not self._waiting or self._stop.is_set():
                    break
                self._skip_old()
                packet = self._waiting.popleft()
                self._changed.notify_all()
            with self._decoding:
                yield packet
        if self._error is not None:
            raise self._error

    def wake(self) -> None:
        """Let the threads see that `stop` is set."""
        with self._changed:
            self._changed.notify_all()

    def join(self) -> None:
        """Wait until the reading thread has closed the source."""
        self._thread.join(timeout=5.0)

    def _skip_old(self) -> None:
        """If the oldest packet has waited too long, skip to the newest one at which a decoder can begin."""
        if time.monotonic() - self._waiting[0].arrived_s < _MOST_BEHIND_S:
            return
        keys = (place for place in range(len(self._waiting) - 1, 0, -1) if self._waiting[place].packet.is_keyframe)
        for _ in range(next(keys, 0)):
            self.num_skipped += bool(self._waiting.popleft().packet.size)

    # The reading thread -----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        failures = 0
        try:
            while not self._stop.is_set():
                began_s = time.monotonic()
                reason = self._read()
                if self._stop.is_set() or not (reason or (self.source.reopens and self.attempts)):
                    return
                if not (self.source.reopens and self.attempts):
                    do = "check the source, start again"
                    raise UnreadableVideo(f"the stream broke off ({reason})", self.name, do)
                if time.monotonic() - began_s >= _STEADY_S:
                    failures = 0
                failures = self._reopen(reason or "the source ended it", failures)
        except Exception as error:  # raised again where the packets are taken
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
            with self._decoding, contextlib.suppress(Exception):
                self.source.container.close()

    def _read(self) -> str:
        """Read until the source drops or ends; returns why it dropped, or nothing."""
        try:
            for packet in packets_of(self.source.container, self.source.track):
                item = LivePacket(packet, time.monotonic(), self.num_reconnections)
                with self._changed:
                    self._changed.wait_for(lambda: len(self._waiting) < _MOST_WAITING or self._stop.is_set())
                    self._waiting.append(item)
                    self._changed.notify_all()
                if self._stop.is_set():
                    break
        except Exception as error:
            return reason_of(error)
        return ""

    def _reopen(self, reason: str, failures: int) -> int:
        """Open the source again, with growing waits; returns the number of failures in a row, this drop included.

        Raises:
            UnreadableVideo: it did not come back.
        """
        _log.warning("%s: the stream dropped (%s); connecting again", self.name, reason)
        with self._changed:  # first let the decoder take what arrived
            self._changed.wait_for(lambda: not self._waiting or self._stop.is_set())
        with self._decoding, contextlib.suppress(Exception):
            self.source.container.close()
        dropped_s = time.monotonic()
        for failed in itertools.count(failures):
            if failed >= self.attempts:
                what = f"the stream dropped ({reason}) and did not come back in {self.attempts} attempts"
                raise UnreadableVideo(what, self.name, "check the source, start again")
            if self._stop.wait(min(_FIRST_WAIT_S * 2**failed, _LONGEST_WAIT_S)):
                break
            try:
                self.source = open_source(self.name, self._stop)
            except UnreadableVideo as error:
                reason = error.what
                continue
            self.num_reconnections += 1
            gone_s = time.monotonic() - dropped_s
            _log.warning("%s: connected again after %.1f s (attempt %d)", self.name, gone_s, failed + 1)
            return failed + 1
        return failures
