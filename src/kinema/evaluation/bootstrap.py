"""Confidence intervals of figures: the percentile bootstrap over videos (Efron 1979).

Only independent items are drawn: never single clips of a video, and all videos of a group (a film, a camera, a person) together.
If every video is right, or none, all draws are equal and give no interval; then the bound is that of Clopper and Pearson (1934):
the share at which as many right videos in a row would still happen in one case of forty.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Figures = dict[str, "NDArray[np.float64]"]

_MAX_WEIGHTS = 2_000_000
"""Weights held at once, which bounds the memory for large data sets."""


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
        groups: the group of each video [n]; videos of one group are drawn together.
        num_draws: number of draws.
        level: 0.95 for 95 % intervals.
        seed: seed of the draws.
    """
    rng = np.random.default_rng(seed)
    indices = {group: index for index, group in enumerate(dict.fromkeys(groups))}
    group_of = [indices[group] for group in groups]
    if len(indices) == 1:  # nothing to draw from: an interval over videos is too narrow, but not empty
        group_of = list(range(len(groups)))
    num_groups, chunk = max(group_of) + 1, max(1, _MAX_WEIGHTS // len(groups))

    def draw_groups(count: int) -> NDArray[np.float32]:
        """How often each group was drawn [count groups]; each row sums to the number of groups."""
        drawn = rng.integers(num_groups, size=(count, num_groups)) + np.arange(count)[:, None] * num_groups
        return np.bincount(drawn.ravel(), minlength=count * num_groups).reshape(count, num_groups).astype(np.float32)

    parts = [figures(draw_groups(min(chunk, num_draws - start))[:, group_of]) for start in range(0, num_draws, chunk)]
    tails = [(1 - level) / 2, (1 + level) / 2]
    values = {name: np.quantile(np.concatenate([part[name] for part in parts]), tails) for name in parts[0]}
    clopper_pearson = ((1 - level) / 2) ** (1 / num_groups)
    return {
        name: (clopper_pearson if low == 1 else float(low), 1 - clopper_pearson if high == 0 else float(high))
        for name, (low, high) in values.items()
    }
