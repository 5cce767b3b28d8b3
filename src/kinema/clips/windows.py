"""Plan the windows of a video: which frames each clip shows, computed from display times, before any pixel is read.

A dense network sees a clip every `step_s` seconds, by default every clip's length but at least half a second:
`clip_len=4, frame_stride=2` at 10 frames/s has a span of 7 frames; clips start at frames 0, 6, 14 … (multiples of the
stride), and the last one ends with the video. A spread network sees a video that is not much longer than its training
videos as a whole, a longer one in windows of that length, each overlapping the one before by half. A network trained on
stills gets windows of half a second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinema.clips.sampling import (
    clip_duration_s,
    clips_at,
    evenly_timed_clips,
    is_timed,
    plan_clips,
    shown_times,
    usable_frames,
)
from kinema.errors import ConfigError, EmptyVideo
from kinema.types import TimeSpan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.types import InputSpec

MIN_STEP_S = 0.5
MAX_WHOLE_WINDOWS = 1.5
"""A spread network sees a video of up to this many windows as a whole."""

_EPSILON_S = 1e-6


@dataclass(frozen=True, slots=True)
class WindowOptions:
    """How densely windows cover a video.

    Args:
        step_s: seconds from one window to the next; None chooses. A spread network without a window length gets windows of
            twice this.
        num_clips: shifted clips per window for a spread network; minimum number of clips for a dense one.
        window_s: for spread networks, the length of a window in place of the network's own.
    """

    step_s: float | None = None
    num_clips: int = 1
    window_s: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("step", self.step_s), ("window", self.window_s), ("number of clips", self.num_clips)):
            if value is not None and value <= 0:
                raise ConfigError(f"a {name} must be above zero", str(value), "give a positive number")


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """A plan: which frames each clip shows, and which window its scores belong to.

    For a network that scores each frame, a window is a frame: `spans_s` has one row per frame, `frame_owner` takes the
    place of `owner`, and `owner` only numbers the clips.

    Args:
        frames: [clips t] frame numbers in the file.
        owner: [clips] the window of each clip.
        spans_s: [windows 2] start and end of each window in seconds.
        frame_owner: [clips t] the window that the scores of each frame of a clip belong to, -1 where another clip gives
            them; None for networks that score clips.
    """

    frames: NDArray[np.int64]
    owner: NDArray[np.int64]
    spans_s: NDArray[np.float64]
    frame_owner: NDArray[np.int64] | None = None


Plan = Callable[["InputSpec", "NDArray[np.float64]", float, WindowOptions], Windows]
"""Makes the plan of a video: see `plan_windows`."""


def plan_windows(
    spec: InputSpec, times_s: NDArray[np.float64], duration_s: float, options: WindowOptions | None = None
) -> Windows:
    """Plan the windows of a video from its duration and the display times [n] of its frames.

    Raises:
        EmptyVideo: there is no frame.
    """
    options = options or WindowOptions()
    if spec.sampling == "spread":
        return _spread(spec, times_s, duration_s, options)
    return (_timed if is_timed(spec) else _dense)(spec, times_s, duration_s, options)


def _timed(spec: InputSpec, times_s: NDArray[np.float64], duration_s: float, options: WindowOptions) -> Windows:
    if not len(times_s):
        raise EmptyVideo("no frames to take clips from", do="leave this file out")
    begin_s, clip_s = float(times_s[0]), clip_duration_s(spec)
    last_s = max(duration_s - clip_s, begin_s)
    step_s = options.step_s if options.step_s is not None else max(clip_s, MIN_STEP_S)
    if options.num_clips > 1:
        step_s = min(step_s, max((last_s - begin_s) / (options.num_clips - 1), 1 / float(spec.fps or 1)))
    starts_s = np.arange(begin_s, last_s + _EPSILON_S, step_s)
    starts_s = np.append(starts_s[last_s - starts_s > 0.01 * step_s], last_s)
    ends_s = np.maximum(np.minimum(starts_s + clip_s, duration_s), starts_s + _EPSILON_S)
    frames = evenly_timed_clips(spec, times_s, starts_s)
    return Windows(frames, np.arange(len(starts_s)), np.stack([starts_s, ends_s], axis=1))


def _dense(spec: InputSpec, times_s: NDArray[np.float64], duration_s: float, options: WindowOptions) -> Windows:
    frames = usable_frames(spec, times_s, end_s=duration_s)
    shown_s = shown_times(spec, times_s, frames)
    # Measured without the last frame, which may be displayed for seconds.
    frame_s = float(shown_s[-1] - shown_s[0]) / (len(frames) - 1) if len(frames) > 1 else duration_s
    last = max(len(frames) - spec.span, 0)
    step_s = options.step_s if options.step_s is not None else max(spec.span * frame_s, MIN_STEP_S)
    if options.num_clips > 1:
        step_s = min(step_s, max((shown_s[last] - shown_s[0]) / (options.num_clips - 1), frame_s))
    wanted_s = np.arange(shown_s[0], shown_s[last] + _EPSILON_S, step_s)
    starts = np.searchsorted(shown_s, wanted_s - _EPSILON_S)
    if options.step_s is None and options.num_clips == 1:
        # Clips on multiples of the stride share frames, so fewer frames are converted. The last clip is off this grid.
        starts = starts // spec.frame_stride * spec.frame_stride
    starts = np.unique(np.append(np.minimum(starts, last), last))
    places = clips_at(starts, spec, len(frames))
    ends_s = np.minimum(shown_s[places[:, -1]] + frame_s, duration_s)
    ends_s[-1] = duration_s
    spans_s = np.stack([shown_s[starts], np.maximum(ends_s, shown_s[starts] + _EPSILON_S)], axis=1)
    return Windows(frames[places], np.arange(len(starts)), spans_s)


def _spread(spec: InputSpec, times_s: NDArray[np.float64], duration_s: float, options: WindowOptions) -> Windows:
    own_s = max(spec.window_s, MIN_STEP_S) if spec.window_s else None  # near 0 for stills
    window_s = options.window_s or own_s or (2 * options.step_s if options.step_s else None)
    begin_s = float(times_s[0])  # above zero if the sound begins first
    if window_s is None or duration_s - begin_s <= MAX_WHOLE_WINDOWS * window_s:
        frames = plan_clips(spec, times_s, options.num_clips, end_s=duration_s)
        return Windows(
            frames, np.zeros(len(frames), np.int64), np.array([[begin_s, max(duration_s, begin_s + _EPSILON_S)]])
        )
    step_s = options.step_s or min(max(window_s / 2, MIN_STEP_S), window_s)
    starts_s = np.arange(begin_s, duration_s - window_s, step_s)
    starts_s = np.append(starts_s[duration_s - window_s - starts_s > 0.01 * step_s], duration_s - window_s)
    clips = []
    for start in starts_s:
        span = TimeSpan(start, start + window_s)
        # Only the times around the window: a video of hours has thousands of windows.
        first, end = np.searchsorted(times_s, [span.start_s, span.end_s])
        first = max(int(first) - 2, 0)
        clips.append(plan_clips(spec, times_s[first : int(end) + 2], options.num_clips, span, duration_s) + first)
    owner = np.repeat(np.arange(len(starts_s)), options.num_clips)
    return Windows(np.concatenate(clips), owner, np.stack([starts_s, starts_s + window_s], axis=1))
