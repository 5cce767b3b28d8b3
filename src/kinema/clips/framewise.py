"""Which frames a network looks at that answers at each of them.

It learned from clips of `clip_len` frames, so it gets the film in such clips, each half over the one before, and every
frame's answer is taken from the clip in which the network knows most when it gives it: where most of the clip has gone
by, for a causal network; where the clip's ends are farthest, for one that looks both ways. With `clip_len=4` a causal
network is asked `abcd`, `cdef`, `efgh`, and its answers are `abcd`, `ef` and `gh`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kinema.clips.sampling import shown_times, usable_frames
from kinema.clips.windows import WindowOptions, Windows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.types import InputSpec

_EPSILON_S = 1e-6


def plan_frames(
    spec: InputSpec,
    times_s: NDArray[np.float64],
    duration_s: float,
    options: WindowOptions | None = None,
    *,
    causal: bool = True,
) -> Windows:
    """Plan clips so that each frame, at the network's stride and rate, is answered for once.

    Args:
        spec: how the network wants to be fed; its sampling is dense.
        times_s: display times of the film's frames, [n].
        duration_s: of the film.
        options: `step_s` is the distance of clips, half a clip without it; nothing else has a meaning here.
        causal: the network does not look ahead.

    Raises:
        EmptyVideo: there is no frame.
    """
    usable = usable_frames(spec, times_s, end_s=duration_s)
    shown_s = shown_times(spec, times_s, usable)[:: spec.frame_stride]
    usable = usable[:: spec.frame_stride]
    starts = _starts(spec, shown_s, options or WindowOptions())
    places = starts[:, None] + np.arange(spec.clip_len)
    ends_s = np.append(shown_s[1:], max(duration_s, shown_s[-1] + _EPSILON_S))
    return Windows(
        frames=usable[np.minimum(places, len(usable) - 1)],
        owner=np.arange(len(starts)),
        spans_s=np.stack([shown_s, ends_s], axis=1),
        steps=_answered(places, len(usable), causal),
    )


def _starts(spec: InputSpec, shown_s: NDArray[np.float64], options: WindowOptions) -> NDArray[np.int64]:
    """Where clips begin, counted in steps; the last one ends with the film."""
    distance = max(spec.clip_len // 2, 1)
    if options.step_s is not None and len(shown_s) > 1:
        step_s = float(shown_s[-1] - shown_s[0]) / (len(shown_s) - 1)
        distance = int(np.clip(round(options.step_s / step_s), 1, spec.clip_len))
    last = max(len(shown_s) - spec.clip_len, 0)
    return np.append(np.arange(0, last, distance), last)


def _answered(places: NDArray[np.int64], num_steps: int, causal: bool) -> NDArray[np.int64]:
    """`places` [clips t] with -1 for steps that another clip answers for, and for those after the end."""
    clip_len = places.shape[1]
    known = np.arange(clip_len) if causal else np.minimum(np.arange(clip_len), np.arange(clip_len)[::-1])
    most, chosen = np.full(num_steps, -1), np.zeros(num_steps, np.int64)
    for clip, steps in enumerate(places):
        inside = steps[steps < num_steps]
        better = inside[known[: len(inside)] > most[inside]]
        most[better] = known[better - steps[0]]
        chosen[better] = clip
    answers = (places < num_steps) & (chosen[np.minimum(places, num_steps - 1)] == np.arange(len(places))[:, None])
    return np.where(answers, places, -1)
