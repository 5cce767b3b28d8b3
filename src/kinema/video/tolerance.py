"""How much of a video has to be missing to be told: headers are wrong by a frame or two, and sound may be longer."""

from __future__ import annotations

_MIN_MISSING_S, _MIN_MISSING_SHARE = 0.5, 0.05


def min_missing_s(promised_s: float) -> float:
    """Seconds that may be missing of the duration that a header promises."""
    return max(_MIN_MISSING_S, _MIN_MISSING_SHARE * promised_s)


def is_missing(duration_s: float, promised_s: float) -> bool:
    """Whether so much is missing that the video is cut off."""
    return promised_s - duration_s > min_missing_s(promised_s)
