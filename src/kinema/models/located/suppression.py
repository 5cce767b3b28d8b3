"""Suppression of segments that overlap better ones: plain NMS, and Soft-NMS with voting as in ActionFormer. NumPy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]
Scores = NDArray[np.float64]

_ROWS = 256
"""Segments that vote on borders at once, so that memory stays small in videos of hours."""


def overlaps(first: Times, second: Times) -> NDArray[np.float64]:
    """TIoU of segments [n 2] with segments [m 2]: [n m]."""
    shared = np.minimum(first[:, None, 1], second[:, 1]) - np.maximum(first[:, None, 0], second[:, 0])
    shared = np.maximum(shared, 0)
    union = np.diff(first) + np.diff(second)[:, 0] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def nms(times: Times, scores: Scores, most_overlap: float, most: int | None = None) -> NDArray[np.int64]:
    """Indices of the segments that overlap no better kept one by more than `most_overlap` tIoU, the best first.

    At most `most` are kept.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order) and len(kept) != most:
        kept.append(int(order[0]))
        shared = overlaps(times[order[:1]], times[order[1:]])[0]
        order = order[1:][shared <= most_overlap]
    return np.array(kept, np.int64)


def soft_nms(times: Times, scores: Scores, sigma: float, floor: float) -> tuple[NDArray[np.int64], Scores]:
    """Soft-NMS (Bodla et al. 2017): each kept segment lowers the scores of others by exp(-tIoU^2 / sigma).

    Args:
        times: start and end [n 2].
        scores: [n].
        sigma: a smaller one lowers more.
        floor: segments that fall below this score are left out.

    Returns:
        Indices of the kept segments, the best first, and their lowered scores.
    """
    scores, left = scores.copy(), np.arange(len(scores))
    kept: list[int] = []
    lowered: list[float] = []
    while len(left := left[scores[left] >= floor]):
        best = int(left[scores[left].argmax()])
        kept.append(best)
        lowered.append(float(scores[best]))
        left = left[left != best]
        scores[left] *= np.exp(-(overlaps(times[best : best + 1], times[left])[0] ** 2) / sigma)
    return np.array(kept, np.int64), np.array(lowered)


def vote(kept: Times, times: Times, scores: Scores, least_overlap: float) -> Times:
    """Replace each kept segment by the mean of all segments with at least that tIoU, weighted by score times tIoU."""
    voted = kept.copy()
    for first in range(0, len(kept), _ROWS):
        shared = overlaps(kept[first : first + _ROWS], times)
        weights = np.where(shared >= least_overlap, shared, 0) * scores
        voted[first : first + _ROWS] = weights @ times / weights.sum(axis=1, keepdims=True)
    return voted


def suppress(
    times: Times,
    classes: NDArray[np.int64],
    scores: Scores,
    *,
    sigma: float,
    floor: float,
    least_vote: float,
    most: int,
) -> tuple[Times, NDArray[np.int64], Scores]:
    """Soft-NMS and voting within each class; at most `most` segments, the best first.

    Args:
        times: start and end [n 2].
        classes: [n].
        scores: [n].
        sigma: see `soft_nms`.
        floor: see `soft_nms`.
        least_vote: least tIoU of the segments that vote on borders; above 1 none does.
        most: number of segments.
    """
    found: list[tuple[Times, NDArray[np.int64], Scores]] = [(times[:0], classes[:0], scores[:0])]
    for number in np.unique(classes):
        own = classes == number
        kept, lowered = soft_nms(times[own], scores[own], sigma, floor)
        voted = times[own][kept]
        if least_vote <= 1:
            voted = vote(voted, times[own], scores[own], least_vote)
        found.append((voted, np.full(len(kept), number), lowered))
    joined_times, joined_classes, joined_scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(-joined_scores, kind="stable")[:most]
    return joined_times[order], joined_classes[order], joined_scores[order]
