"""How far a figure would move had other videos been drawn: percentile bootstrap over videos (Efron 1979).

Videos are drawn, never clips: the clips of one video are not independent of each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Figures = dict[str, "NDArray[np.float64]"]

_CELLS = 2_000_000
"""Weights held at once: it bounds the memory for large data sets."""


def intervals(
    figures: Callable[[NDArray[np.float32]], Figures],
    num_videos: int,
    *,
    num_draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """The central `level` of every figure over draws with replacement; the same seed gives the same intervals.

    Args:
        figures: maps weights [b n] (how often each video was drawn) to named values [b].
        num_videos: n.
        num_draws: how many data sets to draw.
        level: 0.95 for 95 % intervals.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    chunk = max(1, _CELLS // num_videos)
    parts = [figures(_draw(rng, min(chunk, num_draws - start), num_videos)) for start in range(0, num_draws, chunk)]
    tails = [(1 - level) / 2, (1 + level) / 2]
    values = {name: np.quantile(np.concatenate([part[name] for part in parts]), tails) for name in parts[0]}
    return {name: (float(low), float(high)) for name, (low, high) in values.items()}


def _draw(rng: np.random.Generator, num_draws: int, num_videos: int) -> NDArray[np.float32]:
    """How often each video was drawn: [draws videos], every row sums to the number of videos."""
    drawn = rng.integers(num_videos, size=(num_draws, num_videos))
    drawn += np.arange(num_draws)[:, None] * num_videos
    counts = np.bincount(drawn.ravel(), minlength=num_draws * num_videos)
    return counts.reshape(num_draws, num_videos).astype(np.float32)
