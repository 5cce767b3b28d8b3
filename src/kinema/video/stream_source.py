"""Open what `kinema.video.stream` reads: a camera, a network address, a pipe or a file, and tell which of these are live."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import av

from kinema.errors import UnreadableVideo
from kinema.video.container import open_container
from kinema.video.pipe import Pipe, open_pipe

if TYPE_CHECKING:
    from av.container import InputContainer

READ_TIMEOUT_S = 10.0
"""A camera or an address that gives no data for so long has dropped."""

_TIMEOUT_S = (15.0, READ_TIMEOUT_S)  # to open, to read
_CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}:none"), "win32": ("dshow", "video={}")}
_NO_TIMESTAMPS = 0x80  # AVFMT_NOTIMESTAMPS of libavformat: the demuxer counts frames at a rate that it assumes
_COUNTED = frozenset({"rawvideo", "yuv4mpegpipe"})  # these count too, without that flag


@dataclass(frozen=True)
class Source:
    """An open source.

    Attributes:
        is_live: frames come when they are made, so that nothing may wait for their timestamps; False is a file.
        reopens: it can be opened again after a drop: a camera, or an address that does not state its length.
    """

    container: InputContainer
    track: av.VideoStream
    is_live: bool
    reopens: bool = False

    @property
    def has_timestamps(self) -> bool:
        """Whether timestamps are stored in the stream, and not counted by the demuxer."""
        kind = self.container.format
        return not kind.flags & _NO_TIMESTAMPS and kind.name not in _COUNTED

    @property
    def fps(self) -> float:
        """Frame rate that the source states; 25 if it states none."""
        rate = self.track.average_rate or self.track.guessed_rate
        return float(rate) if rate and 0 < rate <= 1000 else 25.0


def open_source(name: str, stop: threading.Event) -> Source:
    """Open a camera ("0", "/dev/video0"), a pipe ("-"), an address (rtsp, http, udp …) or a file.

    Args:
        name: what to read.
        stop: set when no more data of a pipe are wanted.

    Raises:
        UnreadableVideo: no such camera or file, no answer, or no video track.
    """
    if name == "-":
        return _open_stdin(stop)
    if (name.isdecimal() and not os.path.exists(name)) or name.startswith("/dev/video"):
        kind, pattern = _CAMERAS.get(sys.platform, _CAMERAS["linux"])
        device = pattern.format(name) if name.isdecimal() else name
        if device.startswith("/dev/") and not os.path.exists(device):
            raise UnreadableVideo("no such camera", device, "check that it is plugged in, and its number")
        opened = _open(name, device, "check that the camera is free and may be used", kind=kind)
        return Source(*opened, is_live=True, reopens=True)
    if "://" in name and not os.path.exists(name):
        options = {"rtsp_transport": "tcp"} if name.startswith("rtsp") else {}
        container, track = _open(name, name, "check the address, and that the camera is on", options=options)
        states_length = container.size > 0 or bool(container.duration)
        return Source(container, track, is_live=True, reopens=not states_length)
    return Source(*open_container(name), is_live=False)


def _open_stdin(stop: threading.Event) -> Source:
    try:
        file = open_pipe(stop)
        # A redirected file, and a video whose index comes last, lie on the disk: they are played as files.
        return Source(*_open("-", file, "is a video piped in?"), is_live=isinstance(file, Pipe))
    finally:
        if stop.is_set():
            raise KeyboardInterrupt


def _open(
    name: str, file: object, do: str, *, kind: str | None = None, options: dict[str, str] | None = None
) -> tuple[InputContainer, av.VideoStream]:
    try:
        container = av.open(file, "r", format=kind, options=options, timeout=_TIMEOUT_S, metadata_errors="ignore")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise UnreadableVideo(f"cannot open the stream ({reason_of(error)})", name, do) from error
    if not container.streams.video:
        container.close()
        raise UnreadableVideo("no video track in this stream", name, "give a source with video")
    return container, container.streams.video[0]


def reason_of(error: Exception) -> str:
    """What libavformat says, in words; it calls a time-out an exit."""
    if isinstance(error, av.error.ExitError):
        return f"no data for {READ_TIMEOUT_S:.0f} s"
    return str(getattr(error, "strerror", None) or error)
