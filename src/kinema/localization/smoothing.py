"""Rolling prediction averaging: the mean of K predictions, so that a label over time flickers less.

In a file the K predictions are centred on each time, so that borders between labels stay where they are. In a live stream they
are the last K, because there are no later ones: a change of label appears about K/2 predictions late.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from kinema.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class RollingAverage:
    """Takes predictions one by one and gives the mean of the last `size`; of fewer at the start.

    >>> rolling = RollingAverage(2)
    >>> [rolling.add(np.array([x], np.float32)).item() for x in (1, 3, 5)]
    [1.0, 2.0, 4.0]
    """

    def __init__(self, size: int) -> None:
        check_size(size)
        self._last: deque[NDArray[np.float64]] = deque(maxlen=size)

    def add(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Add scores [classes] and return the mean [classes] of the last ones."""
        self._last.append(scores.astype(np.float64))
        return np.mean(self._last, axis=0).astype(np.float32)


def rolling_average(scores: NDArray[np.float32], size: int, *, causal: bool = False) -> NDArray[np.float32]:
    """The rolling average of a whole video's scores [n classes].

    Args:
        scores: one row a prediction.
        size: number of averaged predictions (K); 1 changes nothing. An even number is made odd by one more, so that the
            window can be centred. At the ends of the video the window is shortened on both sides alike.
        causal: average the last K, as `RollingAverage` does in a live stream.
    """
    check_size(size)
    if size == 1 or len(scores) < 2:
        return scores
    places = np.arange(len(scores))
    if causal:
        first, end = np.maximum(places - size + 1, 0), places + 1
    else:
        half = np.minimum(np.minimum(places, places[::-1]), size // 2)
        first, end = places - half, places + half + 1
    sums = np.concatenate([np.zeros((1, scores.shape[1])), np.cumsum(scores, axis=0, dtype=np.float64)])
    return ((sums[end] - sums[first]) / (end - first)[:, None]).astype(np.float32)


def gaussian_average(
    scores: NDArray[np.float32] | NDArray[np.float64], times_s: NDArray[np.float64], width_s: float
) -> NDArray[np.float64]:
    """The mean of scores [n classes] around each time, weighted by a Gaussian, so that borders stay where they are.

    Args:
        scores: one row a prediction.
        times_s: times of the predictions [n], ascending; they may be unevenly spaced.
        width_s: standard deviation in seconds; rows more than three of them away do not count. 0 changes nothing.
    """
    values = scores.astype(np.float64)
    if width_s <= 0 or len(values) < 2:
        return values
    shares = np.maximum(np.gradient(times_s), 1e-9)[:, None]  # the time that a row stands for
    total, weights = values * shares, shares.copy()
    for distance in range(1, len(values)):
        offsets = (times_s[distance:] - times_s[:-distance]) / width_s
        if offsets.min() > 3:
            break
        weight = np.where(offsets <= 3, np.exp(-(offsets**2) / 2), 0)[:, None]
        for here, there in ((slice(distance, None), slice(-distance)), (slice(-distance), slice(distance, None))):
            total[here] += weight * shares[there] * values[there]
            weights[here] += weight * shares[there]
    return total / weights


def check_size(size: int) -> None:
    """Check the number of averaged predictions.

    Raises:
        ConfigError: less than one.
    """
    if size < 1:
        raise ConfigError("a rolling average needs at least one prediction", str(size), "give 1 (off) or more")
