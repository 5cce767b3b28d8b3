"""Repair the display times of frames whose timestamps are missing, repeated, out of order or impossible."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LONGEST_S = 60.0  # display time of a frame, on average over a video: more is a wrong timestamp
_ALWAYS_S = 3600.0  # a video of any number of frames may last as long


def repaired(ticks: NDArray[np.int64], known: NDArray[np.bool_], step: float) -> NDArray[np.float64]:
    """Ascending times [n] in ticks of frames in the decoder's order.

    Known times are sorted, because the decoder's order is right. A frame without a time, or with that of the frame before
    it, is put between its neighbours, evenly.

    Args:
        ticks: [n] stated times.
        known: [n] whether a time is stated.
        step: ticks from one frame to the next where no neighbour tells.
    """
    places = np.flatnonzero(known)
    times = np.sort(ticks[places]).astype(np.float64)
    new = np.concatenate([[True], np.diff(times) > 0])[: len(times)]
    places, times = places[new], times[new]
    if not len(places):
        return (np.arange(len(ticks)) * step).astype(np.float64)
    numbers = np.arange(len(ticks))
    found: NDArray[np.float64] = np.interp(numbers, places, times)
    found += step * (np.minimum(numbers - places[0], 0) + np.maximum(numbers - places[-1], 0))
    return found


def bounded(times_s: NDArray[np.float64], last_s: float, frame_s: float) -> tuple[NDArray[np.float64], float, str]:
    """Replace display times that are too long to be true by that of a usual frame.

    A video may last an hour, or a minute for each of its frames. If it lasts longer, frames that are displayed for more
    than a minute have a wrong timestamp.

    Args:
        times_s: [n] display times of the frames.
        last_s: how long the last frame is displayed.
        frame_s: how long a usual frame is displayed.

    Returns:
        The times, the display time of the last frame, and what was wrong; empty for nothing.
    """
    starts = np.append(times_s, times_s[-1] + last_s)
    limit_s = max(_ALWAYS_S, _LONGEST_S * len(times_s))
    if starts[-1] <= limit_s:
        return times_s, last_s, ""
    shown_s = np.diff(starts, prepend=0.0)  # the first entry: how long after the sound the first frame is displayed
    wrong = np.flatnonzero(shown_s > _LONGEST_S)
    fault = f"impossible timestamps: a frame lasts {shown_s[wrong[0]]:.0f} s" if len(wrong) else "impossible timestamps"
    shown_s[wrong] = np.where(wrong > 0, frame_s, 0.0)
    starts = np.cumsum(shown_s)
    return starts[:-1], float(starts[-1] - starts[-2]), fault
