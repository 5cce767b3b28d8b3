"""Confidence intervals of figures: the percentile bootstrap over videos (Efron 1979).

Only independent items are drawn: never single clips of a video, and all videos of a source (a film, a camera, a person) together.
If every video is right, or none, all draws are equal and give no interval; then the bound is that of Clopper and Pearson (1934):
the share at which as many right videos in a row would still happen in one case of forty.

A bootstrap over few sources is far too narrow (Cameron, Gelbach and Miller 2008; `benchmarks/interval_coverage.py`). Below
`FEW_SOURCES` the interval is the wider of the two that are drawn by source and by single video.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Figures = dict[str, "NDArray[np.float64]"]

FEW_SOURCES = 10
"""With fewer sources than this, an interval that is drawn by source is not trusted alone."""

_MAX_WEIGHTS = 2_000_000
"""Weights held at once, which bounds the memory for large data sets."""


class Interval(NamedTuple):
    """Both ends of an interval, and what it is: "bootstrap" or "Clopper-Pearson", "by source" or "by video"."""

    low: float
    high: float
    method: str


def intervals(
    figures: Callable[[NDArray[np.float32]], Figures],
    groups: Sequence[Hashable],
    *,
    num_draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """The central `level` of every figure over draws with replacement; the same seed gives the same intervals.

    Args:
        figures: maps weights [b n] (how often each video was drawn) to named values [b].
        groups: the source of each video [n]; videos of one source are drawn together. With fewer than `FEW_SOURCES`, the
            wider of the intervals by source and by video is returned; with one source, that by video.
        num_draws: number of draws.
        level: 0.95 for 95 % intervals.
        seed: seed of the draws.
    """
    indices = {group: index for index, group in enumerate(dict.fromkeys(groups))}
    num_sources, num_videos = len(indices), len(groups)
    found: list[dict[str, Interval]] = []
    if 1 < num_sources < num_videos:
        found.append(_draw(figures, [indices[group] for group in groups], "source", num_draws, level, seed))
    if num_sources == num_videos or num_sources < FEW_SOURCES:
        found.append(_draw(figures, range(num_videos), "video", num_draws, level, seed))
    return {name: max((each[name] for each in found), key=lambda one: one.high - one.low) for name in found[0]}


def _draw(
    figures: Callable[[NDArray[np.float32]], Figures],
    unit_of: Sequence[int],
    unit: str,
    num_draws: int,
    level: float,
    seed: int,
) -> dict[str, Interval]:
    """The interval of each figure; videos with the same number in `unit_of` are drawn together."""
    rng = np.random.default_rng(seed)
    num_units, chunk = max(unit_of) + 1, max(1, _MAX_WEIGHTS // len(unit_of))
    column = np.asarray(unit_of)

    def draw(count: int) -> NDArray[np.float32]:
        """How often each unit was drawn [count units]; each row sums to the number of units."""
        drawn = rng.integers(num_units, size=(count, num_units)) + np.arange(count)[:, None] * num_units
        return np.bincount(drawn.ravel(), minlength=count * num_units).reshape(count, num_units).astype(np.float32)

    parts = [figures(draw(min(chunk, num_draws - start))[:, column]) for start in range(0, num_draws, chunk)]
    tails = [(1 - level) / 2, (1 + level) / 2]
    exact = tails[0] ** (1 / num_units)
    found = {}
    for name in parts[0]:
        low, high = map(float, np.quantile(np.concatenate([part[name] for part in parts]), tails))
        kind = "Clopper-Pearson" if low == 1 or high == 0 else "bootstrap"
        found[name] = Interval(exact if low == 1 else low, 1 - exact if high == 0 else high, f"{kind} by {unit}")
    return found
