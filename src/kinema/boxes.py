"""Arithmetic of boxes: left, top, right, bottom in pixels. NumPy alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def box_iou(first: NDArray[np.float64], second: NDArray[np.float64], pixel: float = 0.0) -> NDArray[np.float64]:
    """Intersection over union of boxes [n 4] with boxes [m 4]: [n m].

    Args:
        first: left, top, right, bottom.
        second: as `first`.
        pixel: added to widths and heights: 1 where right and bottom are the last pixel inside, as in PASCAL VOC.
    """
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.maximum(high - low + pixel, 0).prod(axis=2)
    areas = [(side[:, 2:] - side[:, :2] + pixel).prod(axis=1) for side in (first, second)]
    union = areas[0][:, None] + areas[1] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def best_boxes(boxes: NDArray[np.float64], scores: NDArray[np.float64], most_iou: float) -> NDArray[np.int64]:
    """Non-maximum suppression: rows of the boxes that overlap no better one by more than `most_iou`, best first."""
    order = np.argsort(-scores, kind="stable")
    meets = box_iou(boxes[order], boxes[order]) > most_iou
    left = np.ones(len(order), np.bool_)
    for place in range(len(order)):
        if left[place]:
            left[place + 1 :] &= ~meets[place, place + 1 :]
    return order[left]
