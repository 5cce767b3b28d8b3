"""Which frames of a film are looked at, as arithmetic on its display times: no pixel is touched here.

A dense network sees a clip every `step_s` seconds, by default every clip's length but at least half a second:
`clip_len=4, frame_stride=2` at 10 frames/s has a span of 7 frames; clips start at frames 0, 8, 16 … and the last ends
with the film. A spread network sees a film that is not much longer than what it learned from as a whole, a longer one
in windows of that length, each half over the one before; one that learned from stills, in windows of half a second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinema.clips.sampling import plan_clips, usable_frames
from kinema.errors import ConfigError
from kinema.types import TimeSpan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.types import InputSpec

LEAST_STEP_S = 0.5
LONGER = 1.5
"""A spread network sees a film of up to this many windows as one."""

_EPSILON_S = 1e-6


@dataclass(frozen=True, slots=True)
class WindowOptions:
    """How densely a film is looked at.

    Args:
        step_s: seconds from one window to the next; None chooses. Makes windows of twice that where no length is known.
        num_clips: shifted clips that a spread network sees of each window; least number of clips of a dense one.
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
    """A plan: `frames` [clips t] file frame numbers, `owner` [clips] the window of each clip, `spans_s` [windows 2].

    Where each frame of a clip is answered for, the windows are frames, and `steps` [clips t] names the one that each
    answer belongs to, -1 where another clip answers for it; `owner` then counts clips.
    """

    frames: NDArray[np.int64]
    owner: NDArray[np.int64]
    spans_s: NDArray[np.float64]
    steps: NDArray[np.int64] | None = None


Plan = Callable[["InputSpec", "NDArray[np.float64]", float, WindowOptions], Windows]
"""Makes the plan of a film: see `plan_windows`."""


def plan_windows(
    spec: InputSpec, times_s: NDArray[np.float64], duration_s: float, options: WindowOptions | None = None
) -> Windows:
    """Plan the windows of a film.

    Args:
        spec: how the network wants to be fed.
        times_s: display times of the film's frames, [n].
        duration_s: of the film.
        options: see `WindowOptions`.

    Raises:
        EmptyVideo: there is no frame.
    """
    options = options or WindowOptions()
    if spec.sampling == "spread":
        return _spread(spec, times_s, duration_s, options)
    return _dense(spec, times_s, duration_s, options)


def _dense(spec: InputSpec, times_s: NDArray[np.float64], duration_s: float, options: WindowOptions) -> Windows:
    frames = usable_frames(spec, times_s, end_s=duration_s)
    shown_s = times_s[frames] if spec.fps is None else times_s[0] + np.arange(len(frames)) / spec.fps
    # Without the last frame, which some films hold for seconds.
    frame_s = float(shown_s[-1] - shown_s[0]) / (len(frames) - 1) if len(frames) > 1 else duration_s
    last = max(len(frames) - spec.span, 0)
    starts = _dense_starts(spec, shown_s, frame_s, last, options)
    places = np.minimum(starts[:, None] + np.arange(spec.clip_len) * spec.frame_stride, len(frames) - 1)
    ends_s = np.minimum(shown_s[places[:, -1]] + frame_s, duration_s)
    ends_s[-1] = duration_s
    spans_s = np.stack([shown_s[starts], np.maximum(ends_s, shown_s[starts] + _EPSILON_S)], axis=1)
    return Windows(frames[places], np.arange(len(starts)), spans_s)


def _dense_starts(
    spec: InputSpec, shown_s: NDArray[np.float64], frame_s: float, last: int, options: WindowOptions
) -> NDArray[np.int64]:
    step_s = options.step_s if options.step_s is not None else max(spec.span * frame_s, LEAST_STEP_S)
    if options.num_clips > 1:
        step_s = min(step_s, max((shown_s[last] - shown_s[0]) / (options.num_clips - 1), frame_s))
    wanted_s = np.arange(shown_s[0], shown_s[last] + _EPSILON_S, step_s)
    starts = np.searchsorted(shown_s, wanted_s - _EPSILON_S)
    if options.step_s is None and options.num_clips == 1:
        # Clips on one grid of strides share frames, and the decoder need not hand out those between; the last is off it.
        starts = starts // spec.frame_stride * spec.frame_stride
    return np.unique(np.append(np.minimum(starts, last), last))


def _spread(spec: InputSpec, times_s: NDArray[np.float64], duration_s: float, options: WindowOptions) -> Windows:
    own_s = max(spec.window_s, LEAST_STEP_S) if spec.window_s else None  # stills have a length of next to nothing
    window_s = options.window_s or own_s or (2 * options.step_s if options.step_s else None)
    if window_s is None or duration_s <= LONGER * window_s:
        frames = plan_clips(spec, times_s, options.num_clips, end_s=duration_s)
        return Windows(frames, np.zeros(len(frames), np.int64), np.array([[0.0, max(duration_s, _EPSILON_S)]]))
    step_s = options.step_s or min(max(window_s / 2, LEAST_STEP_S), window_s)
    starts_s = np.arange(0, duration_s - window_s, step_s)
    starts_s = np.append(starts_s[duration_s - window_s - starts_s > 0.01 * step_s], duration_s - window_s)
    spans = [TimeSpan(start, start + window_s) for start in starts_s]
    clips = [_plan_near(spec, times_s, span, options.num_clips, duration_s) for span in spans]
    owner = np.repeat(np.arange(len(starts_s)), options.num_clips)
    return Windows(np.concatenate(clips), owner, np.stack([starts_s, starts_s + window_s], axis=1))


def _plan_near(
    spec: InputSpec, times_s: NDArray[np.float64], span: TimeSpan, num_clips: int, end_s: float
) -> NDArray[np.int64]:
    """`plan_clips` on the times around the span alone: a film of hours has thousands of windows."""
    first = max(int(np.searchsorted(times_s, span.start_s)) - 2, 0)
    end = int(np.searchsorted(times_s, span.end_s)) + 2
    return plan_clips(spec, times_s[first:end], num_clips, span, end_s) + first
