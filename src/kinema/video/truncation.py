"""Find truncated videos: a copy or download that ended early plays without an error up to its end.

Only the header tells the original duration, so it is compared with that of the frames that are there.
"""

from __future__ import annotations

import os

from kinema.errors import KinemaError
from kinema.types import VideoInfo
from kinema.video.listing import is_image
from kinema.video.pyav_video import PyavVideo
from kinema.video.tolerance import is_missing


def cut_off(info: VideoInfo, promised: float | None = None) -> str:
    """What is missing at the end of a video, as "it breaks off at 2.6 of 4.8 s"; empty for whole videos and images.

    Args:
        info: of the open video.
        promised: duration in seconds by the header; None opens the file to read it.
    """
    if os.path.isdir(info.path) or is_image(info.path):
        return ""
    if promised is None:
        try:
            with PyavVideo(info.path) as video:
                promised = video.promised_s
        except KinemaError:
            return ""
    return (
        f"it breaks off at {info.duration_s:.1f} of {promised:.1f} s" if is_missing(info.duration_s, promised) else ""
    )
