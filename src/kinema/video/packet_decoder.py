"""Send the packets of a file to its decoder: where it starts anew, which header it has, which signs of damage it gives."""

from __future__ import annotations

from collections.abc import Iterator

import av

from kinema.video.packet_check import PacketCheck
from kinema.video.packet_reader import PacketReader

# FFmpeg's decoders of these conceal errors without marking the frame. With this option they refuse the packet.
_ERROR_DETECTION = {"hevc": "explode", "mjpeg": "explode", "png": "crccheck+explode", "apng": "crccheck+explode"}


def conceals_silently(codec: av.VideoCodecContext) -> bool:
    """Whether FFmpeg conceals errors of a codec without a word, unless it is told to refuse damaged packets."""
    return codec.name in _ERROR_DETECTION


class PacketDecoder:
    """The decoder of a file's video track, and its state.

    Args:
        reader: gives the packets.

    Attributes:
        index: of the packets.
    """

    def __init__(self, reader: PacketReader) -> None:
        self._reader, self._codec, self.index = reader, reader.codec, reader.index
        self._num_threads = 1
        self._change = -1  # the packet that brought the decoder its header, -1: the file's own
        self._is_damaged = False  # a sign of damage since the last restart
        self._start, self._is_new = 0, False  # the packet of the last restart; whether the decoder was new then
        self._conceals = False  # whether the decoder was told to conceal errors: for damaged groups
        self._is_strict = True  # whether it is told to refuse damaged packets otherwise
        self._check: PacketCheck | None = None  # refuses damaged packets of codecs whose decoders do not

    def _restart(self, packet: int, *, is_new: bool = False, conceals: bool = False) -> None:
        """Begin at a packet, with an empty decoder or a new one."""
        if self._check is not None:
            self._check.restart()
        change = self.index.change_before(packet)
        self._start, self._is_new = packet, is_new or conceals or self._conceals or change != self._change
        if self._is_new:
            self._open_codec(change, conceals)
        else:
            self._codec.flush_buffers()
        self._is_damaged = False
        self._reader.stop()

    def _open_codec(self, change: int, conceals: bool) -> None:
        """Make a new decoder with the header that packet `change` brings; -1 is that of the file."""
        self._codec, self._conceals, self._change = self._reader.open_codec(), conceals, change
        self._set_options()
        if change >= 0:
            self._send(next(packet for _, packet in self._reader.packets(change)))
            self._send(None)
            self._codec.flush_buffers()

    def _set_options(self) -> None:
        threads = 1 if self._conceals else self._num_threads
        self._codec.thread_count, self._codec.thread_type = threads, "AUTO" if threads > 1 else "NONE"
        if self._codec.name in _ERROR_DETECTION and self._is_strict and not self._conceals:
            self._codec.options = {"err_detect": _ERROR_DETECTION[self._codec.name]}

    def _packets(self, start: int) -> Iterator[tuple[int, av.Packet]]:
        """Number and packet from `start` on; keeps track of the header that the decoder has."""
        for number, packet in self._reader.packets(start):
            if self.index.changes:
                self._change = self.index.change_before(number)
            yield number, packet

    def _send(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        """Send a packet to the decoder, None to drain it: the frames that it outputs; none for a damaged packet."""
        if packet is not None and packet.is_corrupt and self.index.is_intra:  # the file breaks off in it
            self._is_damaged = True
            return []
        check = self._check if packet is not None else None
        if packet is not None and check is not None and not check.accepts(bytes(packet), packet.is_keyframe):
            self._is_damaged = True
            return []
        try:
            return list(self._codec.decode(packet))
        except EOFError:
            return []
        except av.FFmpegError:
            self._is_damaged = True
            return []

    def _send_or_refuse(self, packet: av.Packet | None) -> list[av.VideoFrame] | None:
        """As `_send`; None for a damaged packet."""
        self._is_damaged = False
        frames = self._send(packet)
        return None if self._is_damaged else frames
