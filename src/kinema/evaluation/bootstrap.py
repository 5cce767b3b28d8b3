"""How far a figure would move had other videos been drawn: percentile bootstrap over videos (Efron 1979).

What is drawn is independent of each other: never clips of one video, and of a film, a camera or a person all or nothing.
Where every video is right, or none, all draws are alike and say nothing; then the bound is that of Clopper and Pearson (1934),
the share at which so many in a row would still be right in one case of forty.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Figures = dict[str, "NDArray[np.float64]"]

_CELLS = 2_000_000
"""Weights held at once: it bounds the memory for large data sets."""


def intervals(
    figures: Callable[[NDArray[np.float32]], Figures],
    groups: Sequence[Hashable],
    *,
    num_draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """The central `level` of every figure over draws with replacement; the same seed gives the same intervals.

    Args:
        figures: maps weights [b n] (how often each video was drawn) to named values [b].
        groups: [n], where each video comes from; those of one group are drawn together.
        num_draws: how many data sets to draw.
        level: 0.95 for 95 % intervals.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    places = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    group_of = [places[group] for group in groups]
    if len(places) == 1:  # nothing else to draw from: better too narrow than no width at all
        group_of = list(range(len(groups)))
    num_groups, chunk = max(group_of) + 1, max(1, _CELLS // len(groups))
    parts = [
        figures(_draw(rng, min(chunk, num_draws - start), num_groups)[:, group_of])
        for start in range(0, num_draws, chunk)
    ]
    tails = [(1 - level) / 2, (1 + level) / 2]
    values = {name: np.quantile(np.concatenate([part[name] for part in parts]), tails) for name in parts[0]}
    least = ((1 - level) / 2) ** (1 / num_groups)
    found = {}
    for name, (low, high) in values.items():
        found[name] = (least if low == 1 else float(low), 1 - least if high == 0 else float(high))
    return found


def _draw(rng: np.random.Generator, num_draws: int, num_groups: int) -> NDArray[np.float32]:
    """How often each group was drawn: [draws groups], every row sums to the number of groups."""
    drawn = rng.integers(num_groups, size=(num_draws, num_groups))
    drawn += np.arange(num_draws)[:, None] * num_groups
    counts = np.bincount(drawn.ravel(), minlength=num_draws * num_groups)
    return counts.reshape(num_draws, num_groups).astype(np.float32)
