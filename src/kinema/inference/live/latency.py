"""Statistics of live prediction: latency, predictions per second, dropped frames. This module does not import torch."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Collection

_MOST = 1000  # a stream may run for weeks, so latency and rate are those of the newest predictions


class LatencyStats:
    """Collects latencies and times of predictions.

    Args:
        clock: gives seconds.

    Attributes:
        count: predictions so far.
        dropped: frames so far that the network should have seen and could not.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.count = self.dropped = 0
        self._clock = clock
        self._latencies_s: deque[float] = deque(maxlen=_MOST)
        self._times_s: deque[float] = deque(maxlen=_MOST)

    def add(self, latency_s: float, dropped: int) -> None:
        """Add a prediction: its latency, and the number of frames dropped since the start."""
        self.count, self.dropped = self.count + 1, dropped
        self._latencies_s.append(latency_s)
        self._times_s.append(self._clock())

    @property
    def per_s(self) -> float:
        """Predictions per second; 0 before the second prediction."""
        passed_s = self._times_s[-1] - self._times_s[0] if self._times_s else 0.0
        return (len(self._times_s) - 1) / passed_s if passed_s > 0 else 0.0

    @property
    def latencies_s(self) -> dict[str, float]:
        """p50, p95 and p99; see `percentiles`."""
        return percentiles(self._latencies_s)

    def to_json(self) -> dict[str, float]:
        """Latencies, rate and dropped frames, as `kinema watch --json` prints them."""
        shares = {f"latency_{name}_s": round(value, 4) for name, value in self.latencies_s.items()}
        return {**shares, "predictions_per_s": round(self.per_s, 2), "dropped": self.dropped}

    def __str__(self) -> str:
        shares = ", ".join(f"{name} {1000 * value:.0f} ms" for name, value in self.latencies_s.items())
        return f"latency {shares}, {self.dropped} {'frame' if self.dropped == 1 else 'frames'} dropped"


def percentiles(latencies_s: Collection[float]) -> dict[str, float]:
    """p50, p95 and p99: the time that 50, 95 and 99 % of the latencies do not exceed, in seconds."""
    ordered = sorted(latencies_s)
    return {f"p{share}": ordered[math.ceil(len(ordered) * share / 100) - 1] for share in (50, 95, 99)}
