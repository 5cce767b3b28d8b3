"""Films that were cut off: a copy or download that ended early still plays to where it ends, and nothing says so.

Only the header knows how long the film once was.
"""

from __future__ import annotations

import os

from kinema.errors import KinemaError
from kinema.types import VideoInfo
from kinema.video.container import open_container, promised_s
from kinema.video.listing import is_image

_LEAST_S, _LEAST_SHARE = 0.5, 0.05  # headers are a frame or two off, and sound may be longer than the picture


def cut_off(info: VideoInfo, promised: float | None = None) -> str:
    """What is missing at the end of a film, as "it breaks off at 2.6 of 4.8 s"; empty for a whole one and for pictures.

    Args:
        info: of the film as it was opened.
        promised: seconds that the header says; None opens the file once more to look.
    """
    if os.path.isdir(info.path) or is_image(info.path):
        return ""
    if promised is None:
        promised = _promised(info.path)
    if promised - info.duration_s <= max(_LEAST_S, _LEAST_SHARE * promised):
        return ""
    return f"it breaks off at {info.duration_s:.1f} of {promised:.1f} s"


def _promised(path: str) -> float:
    try:
        container, track = open_container(path)
    except KinemaError:
        return 0.0
    with container:
        return promised_s(container, track)
