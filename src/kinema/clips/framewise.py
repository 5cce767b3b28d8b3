"""Plan clips for networks that score each frame.

Such a network learned from clips of `clip_len` frames, so the video is cut into clips of that length, each overlapping
the one before by half. Each frame's logits come from the clip that shows the most context around it: for a causal
network the clip with the most frames before it, for a bidirectional one the clip whose ends are farthest away. With
`clip_len=4`, a causal network sees `abcd`, `cdef`, `efgh`, and the logits used are those of `abcd`, `ef` and `gh`.
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
    """Plan clips so that each frame, at the network's stride and rate, gets logits from exactly one clip.

    Args:
        spec: input of the network; its sampling is dense.
        times_s: [n] display times of the video's frames.
        duration_s: of the video.
        options: `step_s` is the distance between clips, by default half a clip; the other options have no effect.
        causal: whether the network uses only frames before the one that it scores.

    Raises:
        EmptyVideo: there is no frame.
    """
    usable = usable_frames(spec, times_s, end_s=duration_s)
    shown_s = shown_times(spec, times_s, usable)[:: spec.frame_stride]
    usable = usable[:: spec.frame_stride]
    distance = max(spec.clip_len // 2, 1)
    if options is not None and options.step_s is not None and len(shown_s) > 1:
        frame_s = float(shown_s[-1] - shown_s[0]) / (len(shown_s) - 1)
        distance = int(np.clip(round(options.step_s / frame_s), 1, spec.clip_len))
    last = max(len(shown_s) - spec.clip_len, 0)  # the last clip ends with the video
    starts = np.append(np.arange(0, last, distance), last)
    places = starts[:, None] + np.arange(spec.clip_len)
    ends_s = np.append(shown_s[1:], max(duration_s, shown_s[-1] + _EPSILON_S))
    return Windows(
        frames=usable[np.minimum(places, len(usable) - 1)],
        owner=np.arange(len(starts)),
        spans_s=np.stack([shown_s, ends_s], axis=1),
        frame_owner=_choose_clips(places, len(usable), causal),
    )


def _choose_clips(places: NDArray[np.int64], num_frames: int, causal: bool) -> NDArray[np.int64]:
    """`places` [clips t] with -1 for frames whose logits another clip gives, and for places after the end."""
    clip_len = places.shape[1]
    context = np.arange(clip_len) if causal else np.minimum(np.arange(clip_len), np.arange(clip_len)[::-1])
    most, chosen = np.full(num_frames, -1), np.zeros(num_frames, np.int64)
    for clip, frames in enumerate(places):
        inside = frames[frames < num_frames]
        better = inside[context[: len(inside)] > most[inside]]
        most[better] = context[better - frames[0]]
        chosen[better] = clip
    is_chosen = (places < num_frames) & (chosen[np.minimum(places, num_frames - 1)] == np.arange(len(places))[:, None])
    return np.where(is_chosen, places, -1)
