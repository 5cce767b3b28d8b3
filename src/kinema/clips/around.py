"""Clips around given times: which frames they show, and at which size, so that boxes in the middle frame can be scored.

The middle of the clip is the time of the boxes. Frames before the first and after the last are those two. The whole frame is
shown, because a crop would cut persons off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kinema.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.types import InputSpec
    from kinema.video import Size

_EARLY_S = 1e-3
"""Timestamps may be rounded up by this much (Matroska stores milliseconds)."""


def clips_around(spec: InputSpec, times_s: NDArray[np.float64], at_s: NDArray[np.float64]) -> NDArray[np.int64]:
    """Frames [k t] of the file for clips around k times, by the display times [n] of its frames.

    >>> from kinema.types import InputSpec
    >>> clips_around(InputSpec(clip_len=3, frame_stride=2), np.arange(10) / 10, np.array([0.0, 0.5])).tolist()
    [[0, 0, 2], [3, 5, 7]]

    Raises:
        ConfigError: the network spreads its frames over a whole video.
    """
    if spec.sampling == "spread":
        raise ConfigError("boxes need clips of neighbouring frames", "sampling=spread", "train with --sampling dense")
    if spec.fps is None:
        places = _shown(times_s, at_s)[:, None] + np.array(spec.offsets) - spec.offsets[-1] // 2
        return places.clip(0, len(times_s) - 1)
    return _shown(times_s, at_s[:, None] + (np.array(spec.offsets) - spec.offsets[-1] / 2) / float(spec.fps))


def _shown(times_s: NDArray[np.float64], at_s: NDArray[np.float64]) -> NDArray[np.int64]:
    """The frames that are displayed at given times."""
    return (np.searchsorted(times_s, at_s + _EARLY_S, side="right") - 1).clip(0).astype(np.int64)


def whole_frame_size(spec: InputSpec) -> Size:
    """The size at which whole frames are shown: the short side, or height and width for networks that squeeze frames."""
    if spec.resize == "stretch":
        return spec.size
    return spec.squeezed or max(min(spec.size), spec.short_side)
