"""What a figure is worth: the same figure without looking at any video.

The baseline ranks the classes by how frequent they are in the training part and names the most frequent one for every video;
chance is the expected figure of a guess with equal odds. A network whose interval is not above both has not shown that it sees
anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Standing = Literal["above", "covered", "below"]
"""Where a baseline lies: the interval of the figure is above it, covers it, or is below it."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """Figures by name of naming the most frequent class for every video, and of guessing.

    Args:
        label: the most frequent class.
        known_from: "training part", or "evaluated videos" if the training part is not known.
        figures: of always naming `label`.
        chance: of a guess with equal odds; figures without a simple expectation are left out.
    """

    label: str
    known_from: str
    figures: dict[str, float]
    chance: dict[str, float]

    def best(self, figure: str) -> tuple[float, str]:
        """The larger of both for a figure, and what it is, in words."""
        named = self.figures.get(figure, 0.0), f"always naming {self.label!r}"
        return max(named, (self.chance.get(figure, 0.0), "guessing"))

    def to_json(self) -> dict[str, object]:
        """A plain dictionary."""
        figures, chance = (
            {name: round(value, 6) for name, value in table.items()} for table in (self.figures, self.chance)
        )
        return {"label": self.label, "known_from": self.known_from, "figures": figures, "chance": chance}


def standing(interval: tuple[float, float], baseline: float) -> Standing:
    """Where a baseline lies.

    >>> standing((0.6, 0.8), 0.5), standing((0.6, 0.8), 0.6), standing((0.6, 0.8), 0.9)
    ('above', 'covered', 'below')
    """
    return "above" if interval[0] > baseline else "below" if interval[1] < baseline else "covered"


def constant_scores(counts: NDArray[np.float64]) -> NDArray[np.float32]:
    """Scores [classes] that rank the classes by their counts and predict the most frequent one alone; of equals the first."""
    scores = 0.49 * counts / max(float(counts.max()), 1.0)
    scores[int(counts.argmax())] = 1.0
    return scores.astype(np.float32)


def hit_chance(num_targets: Sequence[int], num_classes: int, k: int) -> float:
    """Expected hit@k of a random order of the classes, for videos with so many true classes each.

    >>> hit_chance([1], 4, 1), hit_chance([2, 0], 4, 1)
    (0.25, 0.25)
    """
    k = min(k, num_classes)
    return float(np.mean([1 - comb(num_classes - targets, k) / comb(num_classes, k) for targets in num_targets]))
