"""Decode a video and discard its frames: the lower bound for the time that reading a video takes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import av

from kinema.video.container import open_container, packets_of


def decode_only(path: str) -> Iterator[None]:
    """Decode a video from its start with PyAV on all cores; yields None for each frame, which is not converted or kept.

    Raises:
        UnreadableVideo: the file cannot be opened.
    """
    container, track = open_container(path)
    track.thread_type = "AUTO"
    with container:
        for packet in packets_of(container, track):
            with contextlib.suppress(av.error.InvalidDataError, EOFError):  # a damaged packet
                yield from (None for _ in packet.decode())
