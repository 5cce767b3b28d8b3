"""The input of an evaluation: the scores of one video's views, and its true classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinema.errors import KinemaError

if TYPE_CHECKING:
    from numpy.typing import NDArray


NOT_FINITE = "the network has diverged (train it again with a lower learning rate) or needs --precision f32"
"""What to do about scores that are not finite."""


@dataclass(frozen=True, slots=True, eq=False)
class VideoScores:
    """Scores [views classes] of one video, after softmax (after the sigmoid if videos may have several labels).

    `target` is the index of the true class, or a tuple of indices if the data set is multi-label. `group` names the source of
    the video, such as the film of which it is a span; an empty one makes the video a group of its own.

    Raises:
        ValueError: no view, or a target that is not among the classes.
        KinemaError: scores that are not finite.
    """

    key: str
    target: int | tuple[int, ...]
    scores: NDArray[np.float32]
    group: str = ""

    def __post_init__(self) -> None:
        if self.scores.ndim != 2 or not self.scores.size:
            raise ValueError(f"scores are [views classes] with at least one view, got {self.scores.shape=}")
        if not all(0 <= target < self.scores.shape[1] for target in self.targets):
            raise ValueError(f"{self.target=} is not among {self.scores.shape[1]} classes")
        if not np.isfinite(self.scores).all():
            raise KinemaError("the network's scores are not numbers", self.key, NOT_FINITE)

    @property
    def targets(self) -> tuple[int, ...]:
        """The true classes, always as a tuple."""
        return self.target if isinstance(self.target, tuple) else (int(self.target),)

    @property
    def video(self) -> NDArray[np.float32]:
        """Scores of the whole video [classes]: the mean over its views."""
        return self.scores.mean(axis=0)
