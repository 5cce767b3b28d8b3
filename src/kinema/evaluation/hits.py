"""hit@k: whether a true class is among the k best.

Of two classes with equal scores the one with the lower index ranks first, as in `Prediction.top` and `numpy.argmax`. So a result
never depends on the order of the data or on chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def best_classes(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Indices of the k best classes of each row of scores [n classes], best first: [n min(k, classes)]."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def hits_at(scores: NDArray[np.float32], truth: NDArray[np.bool_], k: int) -> NDArray[np.bool_]:
    """Whether any true class is among the k best of each row: [n].

    `truth` says whether a row belongs to a class; it and `scores` are [n classes].
    """
    found: NDArray[np.bool_] = np.take_along_axis(truth, best_classes(scores, k), axis=1)
    return np.asarray(found.any(axis=1))


def truth_table(targets: Sequence[tuple[int, ...]], num_classes: int) -> NDArray[np.bool_]:
    """Targets as a table [n classes]: whether a row belongs to a class."""
    table = np.zeros((len(targets), num_classes), dtype=np.bool_)
    for row, classes in zip(table, targets, strict=True):
        row[list(classes)] = True
    return table
