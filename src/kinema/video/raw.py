"""Decoding and nothing else: the measure of all that is done with frames afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import av

from kinema.video.container import open_container, packets_of


def decode_only(path: str) -> Iterator[None]:
    """Decode a film from its beginning with PyAV on all cores; one item a frame, which is neither converted nor kept.

    Raises:
        UnreadableVideo: it cannot be opened.
    """
    container, track = open_container(path)
    track.thread_type = "AUTO"
    with container:
        for packet in packets_of(container, track):
            with contextlib.suppress(av.error.InvalidDataError, EOFError):  # a damaged packet
                yield from (None for _ in packet.decode())
