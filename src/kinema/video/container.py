"""Open a file with PyAV: choose the video track, read its header, and say why a file does not open."""

from __future__ import annotations

import contextlib
import functools
import os
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

import av
from av.stream import Discard, Disposition

from kinema.errors import EmptyVideo, UnreadableVideo
from kinema.video.refusals import not_a_video, refusal

if TYPE_CHECKING:
    from av.container import InputContainer

_MICROSECOND = 1e-6
# Demuxers that open other files or addresses, which a file names: a video that is called .mp4 may be such a list.
_OPENING_OTHERS = frozenset(
    {"concat", "dash", "hls", "imf", "image2", "rtp", "rtsp", "sdp", "vobsub", "webm_dash_manifest"}
)
_ASF_HEAD = 1 << 16  # bytes that hold the header's properties, which begin with these bytes
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_LATE_S = 0.1  # the video begins as much later than the sound: it is displayed then
# Formats whose duration counts from 0 and not from the first frame.
_FROM_ZERO = frozenset({"matroska,webm", "asf", "asf_o", "nut", "flv", "live_flv"})


def local_name(path: str) -> str:
    """The name by which FFmpeg opens a local file, also one whose name looks like an address."""
    return f"file:{os.path.abspath(path)}"


@functools.cache
def local_options() -> dict[str, str]:
    """Options of FFmpeg that keep a local file from opening other files and addresses."""
    formats = {name for entry in av.formats_available for name in entry.split(",")}
    names = ",".join(sorted(formats - _OPENING_OTHERS))
    return {"protocol_whitelist": "file", "format_whitelist": names}


def open_container(path: str) -> tuple[InputContainer, av.VideoStream]:
    """Open a file and choose its video track; the demuxer skips all other tracks.

    Raises:
        UnreadableVideo: not there, not a video, damaged, no decoder, or no video track.
        EmptyVideo: there is no track at all.
    """
    try:
        container = av.open(local_name(path), options=local_options(), metadata_errors="ignore")
    except (av.FFmpegError, OSError) as error:
        raise _open_error(path, error) from error
    try:
        videos = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]  # no cover images
        decodable = [s for s in videos if s.codec_context is not None]
        if not decodable:
            raise _track_error(path, container, bool(videos))
        best = max(decodable, key=lambda s: (bool(s.disposition & Disposition.default), s.frames))
        for stream in container.streams:
            if stream.index != best.index:
                stream.discard = Discard.all
    except BaseException:
        container.close()
        raise
    return container, best


def packets_of(container: InputContainer, track: av.VideoStream) -> Iterator[av.Packet]:
    """Yield the packets of a track from the container's position to its end.

    A track may begin in the middle of a recording. PyAV does not know it and raises IndexError at its first packet; that
    packet is dropped, and reading goes on with the next one.
    """
    while True:
        try:
            yield from container.demux(track)
        except IndexError:
            continue
        return


def promised_end_s(container: InputContainer, track: av.VideoStream, first_s: float) -> float:
    """The timestamp in seconds at which the video ends by the header, if it begins at `first_s`; 0.0 if it has none.

    Some headers state one duration for all tracks: it may be that of the sound, see `is_of_sound`.
    """
    if container.format.name in _FROM_ZERO:
        if container.duration is None and container.format.name == "asf":
            return _asf_duration_s(container.name.removeprefix("file:"))
        return (container.duration or 0) * _MICROSECOND
    if track.duration and track.time_base:
        empty_s = first_s if container.format.name != "avi" else 0.0  # AVI fills the time before the first frame
        return empty_s + float(track.duration * track.time_base)
    if container.duration and len(container.streams) == 1:
        return first_s + container.duration * _MICROSECOND
    return 0.0


def zero_s(container: InputContainer, first_s: float) -> float:
    """The time at which a player begins: that of the first frame at `first_s`, or of the sound if it begins before."""
    starts = [
        float(s.start_time * s.time_base) for s in container.streams.audio if s.start_time is not None and s.time_base
    ]
    start_s = min(starts, default=first_s)
    if -_LATE_S < start_s < 0:  # samples with which a sound decoder fills up
        start_s = 0.0
    return start_s if first_s - start_s > _LATE_S else first_s


def is_of_sound(path: str, video_end_s: float, end_s: float) -> bool:
    """Whether the sound lasts until `end_s`; if the file can be sought, only what follows the video's end is read."""
    for start_s in (video_end_s, None):
        last_s = _last_sound_s(path, start_s)
        if last_s is not None:
            return last_s >= end_s
    return False


def _last_sound_s(path: str, start_s: float | None) -> float | None:
    """End of the sound among the packets from `start_s` on, or among all of them; None for no sound."""
    last_s: float | None = None
    with (
        av.open(local_name(path), options=local_options(), metadata_errors="ignore") as container,
        contextlib.suppress(av.FFmpegError, IndexError),
    ):
        if start_s is not None:
            container.seek(int(start_s / _MICROSECOND))
        for packet in container.demux():
            if packet.pts is not None and packet.stream.type == "audio" and packet.time_base:
                end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                last_s = end_s if last_s is None else max(last_s, end_s)
    return last_s


def _asf_duration_s(path: str) -> float:
    """Duration by the header of an ASF (WMV) file; FFmpeg does not take it from a file of another size than it states."""
    with open(path, "rb") as file:
        head = file.read(_ASF_HEAD)
    place = head.find(_ASF_PROPERTIES)
    if place < 0 or place + 92 > len(head):
        return 0.0
    play, _, preroll, flags = struct.unpack_from("<QQQI", head, place + 64)
    return 0.0 if flags & 1 else max(play * 1e-7 - preroll * 1e-3, 0.0)  # flag 1: a broadcast, of unknown duration


def _open_error(path: str, error: Exception) -> UnreadableVideo:
    if os.path.isdir(path):
        return UnreadableVideo("a folder, not a video", path, "give a file, or a folder of images")
    return refusal(path) or not_a_video(path, getattr(error, "strerror", None) or str(error))


def _track_error(path: str, container: InputContainer, has_video: bool) -> UnreadableVideo | EmptyVideo:
    if has_video:
        return UnreadableVideo("no decoder for this video's codec", path, "convert it to H.264 with ffmpeg")
    if len(container.streams):
        return UnreadableVideo("no video track in this file, only audio or text", path, "give a video file")
    return EmptyVideo("no frames in this video", path, "record or export it again")
