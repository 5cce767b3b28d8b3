"""Rolling prediction averaging: the mean of the last K predictions, so that a label over time flickers less.

Only past predictions are averaged, so that a file and a live stream give the same. A change of label appears about K/2
predictions late.
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


def rolling_average(scores: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """The rolling average of a whole video's scores [n classes], over `size` predictions (K); 1 changes nothing."""
    check_size(size)
    if size == 1 or len(scores) < 2:
        return scores
    sums = np.cumsum(scores, axis=0, dtype=np.float64)
    sums[size:] -= sums[:-size].copy()
    counts = np.minimum(np.arange(1, len(scores) + 1), size)
    return (sums / counts[:, None]).astype(np.float32)


def check_size(size: int) -> None:
    """Check the number of averaged predictions.

    Raises:
        ConfigError: less than one.
    """
    if size < 1:
        raise ConfigError("a rolling average needs at least one prediction", str(size), "give 1 (off) or more")
