"""The packets of a film by their numbers: from memory where they fit, else from the file, which may be sought."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator

import av

from kinema.video.container import open_container, packets_of, promised_s
from kinema.video.packets import scan


class Feed:
    """An open file and the index of its picture track.

    Args:
        path: the file.

    Attributes:
        codec: decodes the picture track.
        index: of the track's packets.
        promised_s: the length that the header tells, 0.0 where it tells none.
        nominal_fps: frames a second by the header; 25 where it tells nothing that can be.
        pixel_aspect: width of a stored pixel over its height.

    Raises:
        UnreadableVideo: not a video, damaged, or no picture track in it.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._container, self._track = open_container(path)
        self.codec, self.promised_s = self._track.codec_context, promised_s(self._container, self._track)
        rate, aspect = self._track.guessed_rate or self._track.average_rate, self._track.sample_aspect_ratio
        self.nominal_fps = float(rate) if rate and 0 < rate <= 1000 else 25.0
        self.pixel_aspect = float(aspect) if aspect else 1.0
        self.index = scan(self._container, self._track)
        self._running: Iterator[tuple[int, av.Packet]] | None = None

    def packets(self, start: int) -> Iterator[tuple[int, av.Packet]]:
        """Number and packet from `start` on; from a file, the packets go on where they were left until `stop`."""
        if self.index.packets is not None:
            numbers = range(start, len(self.index.packets))
            return zip(numbers, map(self.index.packets.__getitem__, numbers), strict=True)
        if self._running is None:
            self._running = self._of_file(start)
        return self._running

    def stop(self) -> None:
        """The next packets are read anew."""
        self._running = None

    def close(self) -> None:
        """Let go of the file."""
        if self._running is not None:
            self._running.close()  # type: ignore[attr-defined]
        self.stop()
        self._container.close()

    def _of_file(self, start: int) -> Iterator[tuple[int, av.Packet]]:
        number, packets = self._seek(start)
        sought = number > 0
        with contextlib.suppress(av.FFmpegError):
            while True:
                for packet in packets:
                    if not packet.size and packet.pts is None:
                        return
                    if sought and not self._is_packet(number, packet):
                        break
                    if number >= start:
                        yield number, packet
                    number += 1
                else:
                    return
                # Behind a jump an MPEG program stream may have other packets: read on from its start.
                packets = self._reopened()
                start, number, sought = max(start, number), 0, False

    def _is_packet(self, number: int, packet: av.Packet) -> bool:
        return number < len(self.index.pts) and packet.pts == self.index.pts[number]

    def _seek(self, start: int) -> tuple[int, Iterator[av.Packet]]:
        """Seek to packet `start` or before it; says where it landed. Where that fails the file is opened again."""
        if self.index.counted is None and start > 0:
            for key in self.index.keys[self.index.keys <= start][::-1][:2]:
                with contextlib.suppress(av.FFmpegError, StopIteration):
                    self._container.seek(int(self.index.pts[key]), stream=self._track)
                    packets = packets_of(self._container, self._track)
                    first = next(packets)
                    number = self.index.packet_at(first.pts)
                    if number is not None and number <= start:
                        return number, itertools.chain([first], packets)
        return 0, self._reopened()

    def _reopened(self) -> Iterator[av.Packet]:
        self._container.close()
        self._container, self._track = open_container(self._path)
        return packets_of(self._container, self._track)
