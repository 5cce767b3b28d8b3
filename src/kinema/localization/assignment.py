"""Pairs of rows and columns with the least total cost, of those that are allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

if TYPE_CHECKING:
    from numpy.typing import NDArray


def assign(overlaps: NDArray[np.float64], least: float) -> list[tuple[int, int]]:
    """Match rows with columns, each at most once, so that the total overlap is largest.

    Args:
        overlaps: [n m], from 0 to 1.
        least: pairs of a smaller overlap are not matched.

    Returns:
        pairs of row and column, by row.
    """
    allowed = np.where(overlaps >= least, overlaps, 0.0)
    rows, columns = linear_sum_assignment(-allowed)
    return [
        (int(row), int(column)) for row, column in zip(rows, columns, strict=True) if overlaps[row, column] >= least
    ]
