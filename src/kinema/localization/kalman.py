"""Kalman filter of a box that moves with a velocity of its own, for frames at any times.

As in DeepSORT (Wojke et al. 2017) and ByteTrack (Zhang et al. 2022), the noise is in shares of the longer side of the box, which
for a standing person is the published height. Here it is white noise in continuous time, so that two steps of 1/30 s predict the
same as one of 2/30 s, and a low or a variable frame rate needs no other settings. Its sizes were measured on boxes with errors of
5 % of their sides, at 25, 12.5, 8 and 5 frames a second: a position is measured to 1/10 (published: 1/20), and from one frame of
1/30 s to the next it changes by 1/80 beyond the velocity (1/20), and the velocity by 1/320 a frame (1/160).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PUBLISHED_FPS = 30.0
_MEASURED = 1 / 10
"""Standard deviation of a measured position, width or height, in sides."""
_DRIFT, _PUSH = 1 / 80, _PUBLISHED_FPS / 320
"""Standard deviations over one frame of 1/30 s: of a position in sides, of a velocity in sides a second."""
_FIRST_VELOCITY = 10 * _PUSH
"""Standard deviation of the velocity after one box, in sides a second."""


@dataclass(frozen=True, slots=True, eq=False)
class BoxState:
    """What is known of a box.

    Args:
        mean: [4 2] centre x, centre y, width, height in pixels, each with its velocity in pixels a second.
        covariance: [4 2 2] of each value and its velocity.
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @classmethod
    def first(cls, box: NDArray[np.float64]) -> BoxState:
        """State after one box (left, top, right, bottom): the velocity is unknown."""
        values = _values(box)
        side = _side(values)
        spread = np.diag(np.square([_MEASURED * side, _FIRST_VELOCITY * side]))
        return cls(np.stack([values, np.zeros(4)], axis=1), np.repeat(spread[None], 4, axis=0))

    @property
    def box(self) -> NDArray[np.float64]:
        """Left, top, right, bottom [4]."""
        centre, half = self.mean[:2, 0], np.maximum(self.mean[2:, 0], 1e-3) / 2
        return np.concatenate([centre - half, centre + half])

    def predicted(self, dt_s: float, *, keep_size: bool = False) -> BoxState:
        """State `dt_s` seconds later; `keep_size` lets width and height stay, for a box that is out of sight."""
        mean, side = self.mean.copy(), _side(self.mean[:, 0])
        if keep_size:
            mean[2:, 1] = 0
        mean[:, 0] += mean[:, 1] * dt_s
        step = np.array([[1, dt_s], [0, 1]])
        drift, push = np.square([_DRIFT * side, _PUSH * side]) * _PUBLISHED_FPS
        noise = [[drift * dt_s + push * dt_s**3 / 3, push * dt_s**2 / 2], [push * dt_s**2 / 2, push * dt_s]]
        return BoxState(mean, step @ self.covariance @ step.T + noise)

    def updated(self, box: NDArray[np.float64]) -> BoxState:
        """State after a box (left, top, right, bottom) was found at this time."""
        measured = _values(box)
        variance = (_MEASURED * _side(self.mean[:, 0])) ** 2
        gain = self.covariance[:, :, 0] / (self.covariance[:, :1, 0] + variance)
        mean = self.mean + gain * (measured - self.mean[:, 0])[:, None]
        return BoxState(mean, self.covariance - gain[:, :, None] * self.covariance[:, None, 0])


def _values(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centre x, centre y, width, height."""
    return np.concatenate([(box[:2] + box[2:]) / 2, box[2:] - box[:2]])


def _side(values: NDArray[np.float64]) -> float:
    """The longer side, at least a pixel."""
    return max(float(values[2:].max()), 1.0)
