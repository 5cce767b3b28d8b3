"""Borders of segments between two rows of scores, where straight lines between the scores cross.

Without this, a border is in the middle between two rows: scores every 0.5 s would give borders that are up to 0.25 s off, and the
same video at two frame rates would give borders that differ by a whole step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.localization.segments import Run


def refine_exclusive(
    runs: Sequence[Run], scores: NDArray[np.float64], times_s: NDArray[np.float64], least_score: float | None
) -> None:
    """Move each border to where the score of the label before it falls below that of the label after it.

    Args:
        runs: in order of time; their times are changed.
        scores: smoothed scores [n classes].
        times_s: of the rows [n].
        least_score: the score of "nothing", which is before and after runs that touch no other; None leaves such borders.
    """
    nothing = None if least_score is None else np.full(len(scores), least_score)
    for place, run in enumerate(runs):
        own = scores[:, run.label]
        follower = runs[place + 1] if place + 1 < len(runs) and runs[place + 1].first == run.end else None
        other = nothing if follower is None else scores[:, follower.label]
        if other is not None and run.end < len(scores):
            run.end_s = crossing(own - other, times_s, run.end, run.end_s)
            if follower is not None:
                follower.start_s = run.end_s
        if nothing is not None and run.first > 0 and (not place or runs[place - 1].end < run.first):
            run.start_s = crossing(own - nothing, times_s, run.first, run.start_s)


def refine_levels(
    runs: Sequence[Run], scores: NDArray[np.float64], times_s: NDArray[np.float64], leave: float, level: float
) -> None:
    """Move the borders of the runs of one label to where its score [n] crosses a share `level` of its peak above `leave`."""
    for run in runs:
        least = leave + level * (float(scores[run.first : run.end].max()) - leave)
        if run.first > 0:
            run.start_s = crossing(scores - least, times_s, run.first, run.start_s)
        if run.end < len(scores):
            run.end_s = crossing(scores - least, times_s, run.end, run.end_s)


def crossing(values: NDArray[np.float64], times_s: NDArray[np.float64], row: int, otherwise: float) -> float:
    """The time between the rows before and after a border at which the values are 0; `otherwise` if they do not cross it there.

    >>> crossing(np.array([-1.0, 3.0]), np.array([2.0, 4.0]), 1, 3.0)
    2.5
    """
    before, after = float(values[row - 1]), float(values[row])
    if before * after >= 0:
        return otherwise
    return float(times_s[row - 1] + (times_s[row] - times_s[row - 1]) * before / (before - after))
