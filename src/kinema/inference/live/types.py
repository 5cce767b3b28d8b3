"""Types of live prediction, and times that follow from a network's input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from kinema.models.network import StreamingNetwork

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.models.network import Network
    from kinema.types import InputSpec

    Frame = NDArray[np.uint8]

USUAL_WINDOW_S = 2.0
"""Window of a network that spreads its frames, if its input does not say how long its examples were."""

EPSILON_S = 1e-3


class Stream(Protocol):
    """What `kinema.video.stream.open_stream` returns: an iterator over time and frame [h w c]."""

    @property
    def num_dropped(self) -> int:
        """Frames that were not taken in time, or not decoded."""

    def __iter__(self) -> Iterator[tuple[float, Frame]]: ...

    def close(self) -> None:
        """Close the source."""


@dataclass(frozen=True, slots=True, eq=False)
class LivePrediction:
    """Scores [classes] after the frame at `time_s`, smoothed; `raw` before smoothing.

    `time_s` is the time of a file, or the seconds from the arrival of a live source's first frame to the arrival of this one.
    `latency_s` is the time from the arrival of that frame, not yet decoded, to the scores; `dropped` counts frames since
    the start that the network should have seen and could not.
    """

    time_s: float
    scores: NDArray[np.float32]
    raw: NDArray[np.float32]
    latency_s: float
    dropped: int


def clip_span_s(spec: InputSpec) -> float | None:
    """Seconds from the first to the last frame of a clip; None if that depends on the source's frame rate."""
    if spec.clip_len == 1 and not spec.has_flow:
        return 0.0  # one frame: the newest
    if spec.sampling == "spread":
        return spec.window_s or USUAL_WINDOW_S
    return None if spec.fps is None else (spec.span - 1) / spec.fps


def frame_interval_s(spec: InputSpec) -> float | None:
    """Seconds from one frame of a clip to the next; None if that depends on the source's frame rate."""
    if spec.sampling == "spread":
        return (spec.window_s or USUAL_WINDOW_S) / spec.clip_len
    return None if spec.fps is None else spec.frame_stride / spec.fps


def goes_frame_by_frame(network: Network) -> bool:
    """Whether live frames go to the network one by one, not in clips; optical flow needs two frames."""
    return isinstance(network, StreamingNetwork) and not network.spec.has_flow
