"""The sound of a video for a new file of the same times.

Packets are copied if the container can hold them, else the sound is encoded again, as AAC or Opus.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import av
from av.stream import Discard

from kinema.video.container import local_name, local_options

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer

_log = logging.getLogger("kinema")

_ISO = frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"})
_COPIED = {".mp4": _ISO, ".m4v": _ISO, ".mov": _ISO - {"opus", "flac"}, ".webm": frozenset({"opus", "vorbis"})}
"""Codecs that a container of this ending can hold; Matroska holds all."""

_Item = TypeVar("_Item")

_OPUS_RATE = 48_000
_AAC_RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000})


class SoundSource(NamedTuple):
    """A video file with sound, and the timestamp in seconds that becomes 0 in the new file."""

    path: str
    zero_s: float


class Sound:
    """Adds the first sound track of a file to a container; does nothing if there is none.

    Damage in the sound is reported in the log and does not stop the video.
    """

    def __init__(self, source: SoundSource, output: OutputContainer, ending: str) -> None:
        self._source, self._output = source, output
        self._input: InputContainer | None = None
        self._packets: Iterator[tuple[float, list[av.Packet]]] = iter(())
        self._pending: tuple[float, list[av.Packet]] | None = None
        try:
            self._input = av.open(local_name(source.path), options=local_options(), metadata_errors="ignore")
        except (av.FFmpegError, OSError):
            return  # the reader of the video reports what is wrong with the file
        tracks = [track for track in self._input.streams.audio if track.codec_context is not None]
        if not tracks:
            return
        for stream in self._input.streams:
            if stream.index != tracks[0].index:
                stream.discard = Discard.all
        codec = tracks[0].codec_context.name
        if ending not in _COPIED or codec.removesuffix("float") in _COPIED[ending]:
            self._packets = self._copied(self._input, tracks[0])
        else:
            self._packets = self._encoded(self._input, tracks[0], "libopus" if ending == ".webm" else "aac")
        # the track must be known before the first packet of the video, but nothing may be written before it
        self._pending = next(self._packets, None)

    def write_until(self, time_s: float) -> None:
        """Write what is heard before a time."""
        while self._pending is not None and self._pending[0] < time_s:
            self._output.mux(self._pending[1])
            self._pending = next(self._packets, None)

    def close(self) -> None:
        """Close the file that is read."""
        if self._input is not None:
            self._input.close()

    def _copied(self, container: InputContainer, track: av.AudioStream) -> Iterator[tuple[float, list[av.Packet]]]:
        copy = self._output.add_stream_from_template(track)
        for packet in self._readable(container.demux(track)):
            if packet.pts is None or packet.dts is None or packet.time_base is None or not packet.size:
                continue
            first = round(self._source.zero_s / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts - first, packet.dts - first, copy
            if packet.pts >= 0:
                yield float(packet.pts * packet.time_base), [packet]

    def _encoded(
        self, container: InputContainer, track: av.AudioStream, codec: str
    ) -> Iterator[tuple[float, list[av.Packet]]]:
        rate = track.rate if codec == "aac" and track.rate in _AAC_RATES else _OPUS_RATE
        new = self._output.add_stream(codec, rate=rate, layout="mono" if track.layout.nb_channels == 1 else "stereo")
        assert isinstance(new, av.AudioStream)
        time_s = 0.0
        for frame in self._readable(container.decode(track)):
            if frame.pts is None or frame.time_base is None:
                continue
            frame.pts -= round(self._source.zero_s / frame.time_base)
            if frame.pts >= 0:
                time_s = float(frame.pts * frame.time_base)
                yield time_s, new.encode(frame)
        yield time_s, new.encode(None)

    def _readable(self, items: Iterator[_Item]) -> Iterator[_Item]:
        """The items up to the first that cannot be read."""
        try:
            yield from items
        except (av.FFmpegError, IndexError) as error:
            _log.warning("%s: the sound breaks off, and so it does in the new video (%s)", self._source.path, error)
