"""Opening a file with PyAV: the picture track that is meant, what its header says, and what is wrong where it will not open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import av
from av.stream import Discard, Disposition

from kinema.errors import EmptyVideo, UnreadableVideo

if TYPE_CHECKING:
    from av.container import InputContainer

_MICROSECOND = 1e-6


def open_container(path: str) -> tuple[InputContainer, av.VideoStream]:
    """Open a file and choose its picture track; other tracks are not even read."""
    try:
        container = av.open(path, metadata_errors="ignore")
    except (av.FFmpegError, OSError) as error:
        raise _open_error(path, error) from error
    try:
        videos = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        streams = [s for s in videos if s.codec_context is not None]
        if not streams:
            raise _track_error(path, container, bool(videos))
        best = max(streams, key=lambda s: (bool(s.disposition & Disposition.default), s.frames))
        for stream in container.streams:
            if stream.index != best.index:
                stream.discard = Discard.all
    except BaseException:
        container.close()
        raise
    return container, best


def packets_of(container: InputContainer, track: av.VideoStream) -> Iterator[av.Packet]:
    """The packets of a track from where the container stands to its end.

    PyAV stops at a packet of a track that it does not know, as one that begins in the middle of a recording; here it goes on.
    """
    while True:
        try:
            yield from container.demux(track)
        except IndexError:
            continue
        return


def promised_s(container: InputContainer, track: av.VideoStream) -> float:
    """How long the picture track is by the header; 0.0 where it does not say."""
    if track.duration and track.time_base:
        return float(track.duration * track.time_base)
    if container.duration and len(container.streams) == 1:
        return container.duration * _MICROSECOND
    return 0.0


def _open_error(path: str, error: Exception) -> UnreadableVideo:
    if os.path.isdir(path):
        return UnreadableVideo("a folder, not a video", path, "give a file, or a folder of images")
    if not os.path.exists(path):
        return UnreadableVideo("no such video", path, "check the spelling of the path")
    if not os.access(path, os.R_OK):
        return UnreadableVideo("no permission to read this video", path, "change its permissions")
    if os.path.getsize(path) == 0:
        return UnreadableVideo("the file is empty", path, "copy or download it again")
    reason = getattr(error, "strerror", None) or str(error)
    return UnreadableVideo(f"not a video, or damaged ({reason})", path, "copy it again, or convert it with ffmpeg")


def _track_error(path: str, container: InputContainer, has_video: bool) -> UnreadableVideo | EmptyVideo:
    if has_video:
        return UnreadableVideo("no decoder for this video's codec", path, "convert it to H.264 with ffmpeg")
    if len(container.streams):
        return UnreadableVideo("no picture track in this file, only sound or text", path, "give a video file")
    return EmptyVideo("no frames in this video", path, "record or export it again")
