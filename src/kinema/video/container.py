"""Open a file with PyAV: choose the video track, read its header, and say why a file does not open."""

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
    """Open a file and choose its video track; the demuxer skips all other tracks.

    Raises:
        UnreadableVideo: not there, not a video, damaged, no decoder, or no video track.
        EmptyVideo: there is no track at all.
    """
    try:
        container = av.open(path, metadata_errors="ignore")
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


def promised_s(container: InputContainer, track: av.VideoStream) -> float:
    """Duration of the video track in seconds by the header; 0.0 if the header has none."""
    if track.duration and track.time_base:
        return float(track.duration * track.time_base)
    if container.duration and len(container.streams) == 1:  # with several tracks it may be that of the sound
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
        return UnreadableVideo("no video track in this file, only audio or text", path, "give a video file")
    return EmptyVideo("no frames in this video", path, "record or export it again")
