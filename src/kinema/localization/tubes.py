"""Link the boxes of one action to tubes by dynamic programming (Gkioxari & Malik, CVPR 2015; ROAD, Singh et al., ICCV 2017).

A path through boxes of later and later frames is worth the sum of its scores and, for each link, of the overlap of the two boxes.
The best path becomes a tube, its boxes are removed, and the next best one follows, until no box is left. A tube begins and ends
anywhere. Unlike `kinema.localization.tracking`, this looks at all frames before it decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kinema.boxes import box_iou
from kinema.tracks import FrameBoxes, Track

if TYPE_CHECKING:
    from numpy.typing import NDArray


def link_tubes(
    frames: Sequence[FrameBoxes],
    *,
    overlap_weight: float = 1.0,
    min_iou: float = 0.1,
    max_gap_s: float = 0.5,
    min_boxes: int = 1,
) -> tuple[Track, ...]:
    """Link boxes to tubes.

    Args:
        frames: boxes of one action with its scores, in order of time.
        overlap_weight: what an overlap of 1 is worth beside a score of 1.
        min_iou: least overlap of two linked boxes.
        max_gap_s: longest time between two linked boxes.
        min_boxes: tubes with fewer boxes are left out.

    Returns:
        tubes, the best first; `score` of a tube is the mean score of its boxes.
    """
    boxes = np.concatenate([np.zeros((0, 4)), *(frame.boxes for frame in frames)])
    scores = np.concatenate([np.zeros(0), *(frame.scores for frame in frames)])
    frame_of = np.repeat([frame.frame for frame in frames], [len(frame) for frame in frames]).astype(np.int64)
    times_s = np.repeat([frame.time_s for frame in frames], [len(frame) for frame in frames]).astype(np.float64)
    links = [_links(row, boxes, times_s, min_iou, max_gap_s) for row in range(len(scores))]
    left, tubes = np.ones(len(scores), np.bool_), list[Track]()
    while left.any():
        path = _best_path(scores, links, left, overlap_weight)
        left[path] = False
        if len(path) >= min_boxes:
            tubes.append(Track(len(tubes) + 1, times_s[path], frame_of[path], boxes[path], scores[path]))
    return tuple(tubes)


def _links(
    row: int, boxes: NDArray[np.float64], times_s: NDArray[np.float64], min_iou: float, max_gap_s: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Earlier boxes that a box may follow, and their overlaps."""
    first = int(np.searchsorted(times_s, times_s[row] - max_gap_s - 1e-9))
    last = int(np.searchsorted(times_s, times_s[row]))
    overlaps = box_iou(boxes[row : row + 1], boxes[first:last])[0]
    near = np.flatnonzero(overlaps >= min_iou)
    return near + first, overlaps[near]


def _best_path(
    scores: NDArray[np.float64],
    links: Sequence[tuple[NDArray[np.int64], NDArray[np.float64]]],
    left: NDArray[np.bool_],
    overlap_weight: float,
) -> NDArray[np.int64]:
    """Rows of the path of the largest value among the boxes that are left, in order of time."""
    values, before = np.where(left, scores, -np.inf), np.full(len(scores), -1)
    for row in np.flatnonzero(left).tolist():
        earlier, overlaps = links[row]
        reached = values[earlier] + overlap_weight * overlaps
        if len(reached) and reached.max() > 0:
            before[row] = earlier[reached.argmax()]
            values[row] += reached.max()
    path = [int(values.argmax())]
    while before[path[-1]] >= 0:
        path.append(int(before[path[-1]]))
    return np.array(path[::-1], np.int64)
