"""Films that were cut off: a copy or download that ended early still plays to where it ends, and nothing says so.

Only the header knows how long the film once was.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kinema.errors import KinemaError
from kinema.types import VideoInfo
from kinema.video.film import open_container
from kinema.video.listing import is_image

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

_LEAST_S, _LEAST_SHARE = 0.5, 0.05  # headers are a frame or two off, and sound may be longer than the picture
_MICROSECOND = 1e-6


def cut_off(info: VideoInfo) -> str:
    """What is missing at the end of a film, as "it breaks off at 2.6 of 4.8 s"; empty for a whole one and for pictures.

    Args:
        info: of the film as it was opened.
    """
    if os.path.isdir(info.path) or is_image(info.path):
        return ""
    try:
        container, track = open_container(info.path)
    except KinemaError:
        return ""
    with container:
        promised_s = _promised_s(container, track)
    if promised_s - info.duration_s <= max(_LEAST_S, _LEAST_SHARE * promised_s):
        return ""
    return f"it breaks off at {info.duration_s:.1f} of {promised_s:.1f} s"


def _promised_s(container: InputContainer, track: av.VideoStream) -> float:
    if track.duration and track.time_base:
        return float(track.duration * track.time_base)
    if container.duration and len(container.streams) == 1:
        return container.duration * _MICROSECOND
    return 0.0
