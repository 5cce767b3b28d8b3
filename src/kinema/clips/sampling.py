"""Compute which frames to read: arithmetic on indices, without pixels.

`clip_len=4, frame_stride=2` takes `f.f.f.f`, a span of 7. Dense clips that reach past the end repeat the last frame: of 5
frames this takes `0 2 4 4`. Spread clips (Wang et al. 2016, "Temporal Segment Networks") take one frame from each of
`clip_len` equal parts of the video; with fewer frames than parts, neighbours share one: 3 frames, 4 parts: `0 1 1 2`.

Evenly spaced clips at a frame rate (`spacing="even"` and `fps`) are stretches of time, as in PyTorchVideo: of the frames that
begin within T x tau / fps seconds, T are taken from the first to the last, rounded down. At 25 frames a second the 1.6 s of
X3D-XS (4 x 12 at 30) hold 40 frames: `0 13 26 39`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kinema.errors import EmptyVideo
from kinema.types import InputSpec, TimeSpan

Indices = NDArray[np.int64]

_JITTER = 0.1
"""Share of a frame's duration by which a timestamp may be late, because files round it (Matroska to 1 ms)."""

_EPSILON_S = 1e-6


def random_clip(spec: InputSpec, num_frames: int, rng: np.random.Generator) -> Indices:
    """A dense clip [t] at a random position."""
    last = _last_start(num_frames, spec.span)
    return clips_at([int(rng.integers(last + 1))], spec, num_frames)[0]


def uniform_clips(spec: InputSpec, num_frames: int, num_clips: int) -> Indices:
    """Dense clips [n t]: evenly spaced from the first frame to the last, a single one in the middle.

    With `spacing="even"`, clip k of K starts at k / K of the latest start, as in PyTorchVideo and PySlowFast: a single clip
    is at the start, and the last of several ends before the last frame.
    """
    last = _last_start(num_frames, spec.span)
    if spec.spacing == "even":
        return clips_at([last * clip // num_clips for clip in range(num_clips)], spec, num_frames)
    starts = np.array([last / 2]) if num_clips == 1 else np.linspace(0, last, num_clips)
    return clips_at(np.floor(starts), spec, num_frames)


def spread_clips(num_frames: int, num_clips: int, clip_len: int) -> Indices:
    """Clips [n t] of one frame from each of `clip_len` equal parts of the video, evenly shifted within the parts."""
    _last_start(num_frames, clip_len)
    inside = (np.arange(num_clips) + 0.5) / num_clips
    return _in_parts(np.arange(clip_len) + inside[:, None], num_frames, clip_len)


def random_spread_clip(num_frames: int, clip_len: int, rng: np.random.Generator, min_share: float = 1.0) -> Indices:
    """A clip [t] of one random frame from each of `clip_len` equal parts of the video, or of a section of it.

    With `min_share` below 1, the clip covers a section at a random position; its length is random, from this share of the
    video to all of it.
    """
    _last_start(num_frames, clip_len)
    inside = np.arange(clip_len) + rng.random(clip_len)
    if min_share >= 1:
        return _in_parts(inside, num_frames, clip_len)
    share = rng.uniform(min_share, 1)
    return _in_parts(inside * share + rng.uniform(0, 1 - share) * clip_len, num_frames, clip_len)


def resample(times_s: NDArray[np.float64], fps: float, end_s: float = 0.0) -> Indices:
    """Frames of a file that a constant-rate version of it would show: entry k is the one displayed at k / fps.

    Args:
        times_s: [n] display times of the file's frames, ascending; the result starts at the first of them.
        fps: the constant frame rate, above zero.
        end_s: end of the last frame. If it has a long display time, the result repeats it for that time.
    """
    if fps <= 0:
        raise ValueError(f"a frame rate is positive, got {fps=}")
    if len(times_s) < 2:
        return np.zeros(len(times_s), dtype=np.int64)
    frame_s = float(np.median(np.diff(times_s)))
    duration_s = max(float(times_s[-1]) + frame_s, end_s) - float(times_s[0])
    # Rounded times may add up to a little more than the duration, and a frame may be a little late: neither adds or skips one.
    count = max(1, int(np.ceil(duration_s * fps - _JITTER)))
    wanted_s = times_s[0] + np.arange(count) / fps + _JITTER * min(frame_s, 1 / fps)
    return (np.searchsorted(times_s, wanted_s, side="right") - 1).astype(np.int64)


def usable_frames(
    spec: InputSpec, times_s: NDArray[np.float64], span: TimeSpan | None = None, end_s: float | None = None
) -> Indices:
    """The frames [n] of the file that clips are taken from: those inside `span`, resampled to `spec.fps` if it is set.

    A span between two frames gives the frame displayed then. The last frame is displayed until `end_s`, the end of the
    video, or as long as the others if `end_s` is None.

    Raises:
        EmptyVideo: there is no frame, or the span begins after the end.
    """
    if not len(times_s):
        raise EmptyVideo("no frames to take clips from", do="leave this file out")
    first, end = (0, len(times_s)) if span is None else _frames_in(times_s, span, end_s)
    if spec.fps is None:
        return np.arange(first, end)
    last_end_s = 0.0 if end_s is None or end < len(times_s) else min(end_s, end_s if span is None else span.end_s)
    return resample(times_s[first:end], float(spec.fps), last_end_s) + first


def shown_times(spec: InputSpec, times_s: NDArray[np.float64], usable: Indices) -> NDArray[np.float64]:
    """Time [n] in seconds that each entry of `usable_frames` stands for; a resampled frame may stand for several."""
    return times_s[usable] if spec.fps is None else times_s[usable[0]] + np.arange(len(usable)) / spec.fps


def train_places(spec: InputSpec, num_usable: int, rng: np.random.Generator, time_scale: float = 1.0) -> Indices:
    """Positions [t] in `usable_frames` of one training clip; see `plan_train_clip`."""
    if spec.sampling == "spread":
        return random_spread_clip(num_usable, spec.clip_len, rng, time_scale)
    return random_clip(spec, num_usable, rng)


def plan_train_clip(
    spec: InputSpec,
    times_s: NDArray[np.float64],
    rng: np.random.Generator,
    span: TimeSpan | None = None,
    time_scale: float = 1.0,
    end_s: float | None = None,
) -> Indices:
    """Frames [t] of the file for one random training clip.

    `time_scale` is `min_share` of `random_spread_clip`; for `end_s` and the errors see `usable_frames`.
    """
    if is_timed(spec):
        begin_s, last_s, first, end = _stretch(spec, times_s, span, end_s)
        return evenly_timed_clips(spec, times_s[first:end], [rng.uniform(begin_s, last_s)])[0] + first
    frames = usable_frames(spec, times_s, span, end_s)
    return frames[train_places(spec, len(frames), rng, time_scale)]


def plan_clips(
    spec: InputSpec,
    times_s: NDArray[np.float64],
    num_clips: int,
    span: TimeSpan | None = None,
    end_s: float | None = None,
) -> Indices:
    """Frames [n t] of the file for `num_clips` evaluation clips: evenly spaced, without randomness.

    For `end_s` and the errors see `usable_frames`.
    """
    if is_timed(spec):
        begin_s, last_s, first, end = _stretch(spec, times_s, span, end_s)
        starts_s = begin_s + (last_s - begin_s) * np.arange(num_clips) / num_clips
        return evenly_timed_clips(spec, times_s[first:end], starts_s) + first
    frames = usable_frames(spec, times_s, span, end_s)
    if spec.sampling == "spread":
        return frames[spread_clips(len(frames), num_clips, spec.clip_len)]
    return frames[uniform_clips(spec, len(frames), num_clips)]


def is_timed(spec: InputSpec) -> bool:
    """Whether clips are stretches of time of which frames are taken evenly, without resampling the video first."""
    return spec.spacing == "even" and spec.sampling == "dense" and spec.fps is not None


def clip_duration_s(spec: InputSpec) -> float:
    """Length in seconds of a clip of `is_timed` inputs: T x tau frames at `spec.fps`."""
    return spec.clip_len * spec.frame_stride / float(spec.fps or 1)


def evenly_timed_clips(spec: InputSpec, times_s: NDArray[np.float64], starts_s: ArrayLike) -> Indices:
    """Clips [n t] of frames taken evenly from those that begin within `clip_duration_s` of each start, rounded down.

    Fewer frames than T are repeated, as in PyTorchVideo. A stretch in which none begins shows the one on the screen.
    """
    begins_s = np.asarray(starts_s, dtype=np.float64) - _EPSILON_S
    ends = np.searchsorted(times_s, begins_s + clip_duration_s(spec))
    first = np.minimum(np.searchsorted(times_s, begins_s), np.maximum(ends - 1, 0))
    num_steps = np.maximum(ends - 1 - first, 0)[:, None].astype(np.float32)
    place = np.arange(spec.clip_len)
    # The arithmetic of torch.linspace in its number format, which rounds some whole numbers to just below them.
    step = num_steps / np.float32(max(spec.clip_len - 1, 1))
    rising, falling = step * place.astype(np.float32), num_steps - step * place[::-1].astype(np.float32)
    return first[:, None] + np.where(place < spec.clip_len // 2, rising, falling).astype(np.int64) * (spec.clip_len > 1)


def _stretch(
    spec: InputSpec, times_s: NDArray[np.float64], span: TimeSpan | None, end_s: float | None
) -> tuple[float, float, int, int]:
    """First and latest start of a clip in seconds, first frame that it may show, and one past the last."""
    if not len(times_s):
        raise EmptyVideo("no frames to take clips from", do="leave this file out")
    usual_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1 / float(spec.fps or 1)
    video_end_s = float(times_s[-1]) + usual_s if end_s is None else end_s
    first, end = (0, len(times_s)) if span is None else _frames_in(times_s, span, end_s)
    video_end_s = video_end_s if span is None else min(span.end_s, video_end_s)
    begin_s = float(times_s[first])
    return begin_s, max(video_end_s - clip_duration_s(spec), begin_s), first, end


def _last_start(num_frames: int, span: int) -> int:
    """The last frame at which a clip of `span` frames can start without passing the end; 0 for a video that is too short."""
    if min(num_frames, span) < 1:
        raise ValueError(f"sampling needs positive numbers, got {num_frames=}, {span=}")
    return max(num_frames - span, 0)


def clips_at(starts: ArrayLike, spec: InputSpec, num_frames: int) -> Indices:
    """Dense clips [n t] from their first frames [n]; the last frame of the video is repeated past its end."""
    first = np.asarray(starts, dtype=np.int64)[:, None]
    return np.minimum(first + np.array(spec.offsets), num_frames - 1)


def _in_parts(positions: NDArray[np.float64], num_frames: int, clip_len: int) -> Indices:
    """Convert positions in parts, 0 to clip_len, to frame indices."""
    return np.minimum((positions * num_frames / clip_len).astype(np.int64), num_frames - 1)


def _frames_in(times_s: NDArray[np.float64], span: TimeSpan, end_s: float | None) -> tuple[int, int]:
    """First frame of a span, and one past its last."""
    frame_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else float("inf")
    end_s = float(times_s[-1]) + frame_s if end_s is None else end_s
    if span.start_s >= end_s:
        what = f"no frame at {span.start_s:g} s: the video ends at {end_s:g} s"
        raise EmptyVideo(what, do="correct the start of the span")
    # A frame whose time was rounded down to just before the span belongs to it, one just before its end does not.
    early_s = _JITTER * min(frame_s, span.duration_s)
    first, end = np.searchsorted(times_s, [span.start_s - early_s, span.end_s - early_s])
    if first == end:  # the span lies between two frames: take the one displayed when it begins
        first = max(int(end) - 1, 0)
        end = first + 1
    return int(first), int(end)
