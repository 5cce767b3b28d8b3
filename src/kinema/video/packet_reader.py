"""Give the packets of a video track by number: from memory if they fit, else from the file, with seeking."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator, Iterator

import av

from kinema.video.container import is_of_sound, open_container, packets_of, promised_end_s, zero_s
from kinema.video.packets import scan
from kinema.video.tolerance import is_missing, min_missing_s


class PacketReader:
    """An open file and the packet index of its video track.

    Args:
        path: the file.

    Attributes:
        codec: decoder of the video track.
        index: index of the track's packets.
        promised_end_s: see `kinema.video.container.promised_end_s`.
        num_tracks: of the file, with sound.
        first_s: timestamp of the first displayed frame in seconds.
        zero_s: the timestamp at which a player begins.
        nominal_fps: frame rate by the header; 25 if the header's is missing or impossible.
        pixel_aspect: width of a stored pixel over its height.

    Raises:
        UnreadableVideo: not a video, damaged, or no video track.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._container, self._track = open_container(path)
        self.codec = self._track.codec_context
        rate, aspect = self._track.guessed_rate or self._track.average_rate, self._track.sample_aspect_ratio
        self.nominal_fps = float(rate) if rate and 0 < rate <= 1000 else 25.0
        self.pixel_aspect = float(aspect) if aspect else 1.0
        self.index = scan(self._container, self._track)
        self.num_tracks = len(self._container.streams)
        self.first_s = self.index.first_s
        self.promised_end_s = promised_end_s(self._container, self._track, self.first_s)
        self.zero_s = self.first_s if self.index.has_jumps else zero_s(self._container, self.first_s)
        self._running: Generator[tuple[int, av.Packet], None, None] | None = None

    def promised_video_s(self, promised_s: float, duration_s: float) -> float:
        """`promised_s`, the file's duration by its header, of a video that lasts `duration_s`; 0.0 if the sound lasts so long."""
        if self.num_tracks == 1 or not is_missing(duration_s, promised_s):
            return promised_s
        end_s = self.zero_s + promised_s - min_missing_s(promised_s)
        return 0.0 if is_of_sound(self._path, self.zero_s + duration_s, end_s) else promised_s

    def packets(self, start: int) -> Iterator[tuple[int, av.Packet]]:
        """Yield number and packet from `start` on. Packets read from the file continue after the last one until `stop`."""
        if self.index.packets is not None:
            numbers = range(start, len(self.index.packets))
            return zip(numbers, map(self.index.packets.__getitem__, numbers), strict=True)
        if self._running is None:
            self._running = self._read_file(start)
        return self._running

    def open_codec(self) -> av.VideoCodecContext:
        """A new decoder, with the header of the file's beginning."""
        self.stop()
        self._reopen()
        return self._track.codec_context

    def stop(self) -> None:
        """Make the next call of `packets` seek to its own start."""
        self._running = None

    def close(self) -> None:
        """Close the file."""
        if self._running is not None:
            self._running.close()
        self.stop()
        self._container.close()

    def _read_file(self, start: int) -> Generator[tuple[int, av.Packet], None, None]:
        """Yield packets from `start` on; after a seek, check each of them against the index.

        After a seek in an MPEG program stream, FFmpeg may cut the data into other packets than it did from the start, and
        their numbers would be wrong. At the first packet that disagrees with the index the file is therefore reopened and
        read from its start, and what has been yielded already is skipped.
        """
        number, packets = self._seek(start)
        sought = number > 0
        with contextlib.suppress(av.FFmpegError):
            while True:
                for packet in packets:
                    if not packet.size and packet.pts is None:
                        return  # PyAV's marker of the end
                    if sought and not (number < len(self.index.pts) and packet.pts == self.index.pts[number]):
                        break
                    if number >= start:
                        yield number, packet
                    number += 1
                else:
                    return
                packets = self._reopen()
                start, number, sought = max(start, number), 0, False

    def _seek(self, start: int) -> tuple[int, Iterator[av.Packet]]:
        """Seek to packet `start` or an earlier one: its number, and the packets from there on.

        A seek may miss: it may land on a packet that is unknown or after `start`. The two last keyframes before `start` are
        tried, then the file is reopened and read from packet 0.
        """
        if self.index.num_counted is None and start > 0:
            for key in self.index.keys[self.index.keys <= start][::-1][:2]:
                with contextlib.suppress(av.FFmpegError, StopIteration):
                    self._container.seek(int(self.index.pts[key]), stream=self._track)
                    packets = packets_of(self._container, self._track)
                    first = next(packets)
                    number = self.index.packet_at(first.pts)
                    if number is not None and number <= start:
                        return number, itertools.chain([first], packets)
        return 0, self._reopen()

    def _reopen(self) -> Iterator[av.Packet]:
        self._container.close()
        self._container, self._track = open_container(self._path)
        return packets_of(self._container, self._track)
