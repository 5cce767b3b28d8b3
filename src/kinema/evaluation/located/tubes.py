"""Video-level mean average precision of tubes: boxes of one actor over consecutive frames, with a label (video-mAP).

The overlap of two tubes is their temporal IoU times the mean IoU of their boxes in the frames that both have. Programs differ by
whether a frame and a pixel count as one more than the difference of the ends:

| convention | frames | pixels | used by |
|---|---|---|---|
| `plus-one` | last - first + 1 | right - left + 1 | ACT (Kalogeiton et al. 2017), YOWO |
| `multisports` | last - first | right - left | MultiSports, mmaction2 |
| `exact` | last - first + 1 | right - left | none known; what half-open intervals give |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from kinema.boxes import box_iou
from kinema.errors import DataError
from kinema.evaluation.located.detection import interpolated_precision

if TYPE_CHECKING:
    from numpy.typing import NDArray

TubeConvention = Literal["plus-one", "multisports", "exact"]

THRESHOLDS = (0.2, 0.5, 0.75, *(round(0.5 + 0.05 * step, 2) for step in range(10)))


@dataclass(frozen=True, slots=True, eq=False)
class LabelledTube:
    """Boxes [n 4] of consecutive frames from `first_frame` on: left, top, right, bottom in pixels."""

    video: str
    label: str
    first_frame: int
    boxes: NDArray[np.float64]
    score: float = 1.0

    @property
    def last_frame(self) -> int:
        """The last frame that has a box."""
        return self.first_frame + len(self.boxes) - 1


def tube_iou(first: LabelledTube, second: LabelledTube, convention: TubeConvention) -> float:
    """Overlap of two tubes, 0 to 1; see the head of this module."""
    start, end = max(first.first_frame, second.first_frame), min(first.last_frame, second.last_frame)
    if end < start:
        return 0.0
    frame, pixel = (0, 0) if convention == "multisports" else (1, 1 if convention == "plus-one" else 0)
    union = max(first.last_frame, second.last_frame) - min(first.first_frame, second.first_frame) + frame
    if union == 0:
        return 0.0
    pair = [tube.boxes[start - tube.first_frame : end - tube.first_frame + 1] for tube in (first, second)]
    overlaps = [box_iou(a[None], b[None], pixel)[0, 0] for a, b in zip(*pair, strict=True)]
    return float((end - start + frame) / union * np.mean(overlaps))


def video_map(
    truth: Sequence[LabelledTube],
    answers: Sequence[LabelledTube],
    thresholds: Sequence[float] = THRESHOLDS,
    convention: TubeConvention = "plus-one",
) -> dict[float, float]:
    """Mean over the classes of the truth of average precision, by threshold.

    Matching and average precision are those of MultiSports' program (Li et al. 2021), whatever the convention: each answer is
    compared with the true tube of its video and class that it overlaps most, and precision is interpolated.

    Raises:
        DataError: there is no true tube.
    """
    if not truth:
        raise DataError("there is no true tube to compare with", "", "check the part and the file of the truth")
    by_class: list[list[float]] = []
    for label in sorted({tube.label for tube in truth}):
        ranked = sorted((tube for tube in answers if tube.label == label), key=lambda tube: -tube.score)
        true = [tube for tube in truth if tube.label == label]
        overlaps = [
            np.array([tube_iou(answer, tube, convention) if answer.video == tube.video else 0.0 for tube in true])
            for answer in ranked
        ]  # fmt: skip
        by_class.append(
            [interpolated_precision(_hits(overlaps, len(true), threshold), len(true)) for threshold in thresholds]
        )
    return dict(zip(thresholds, np.mean(by_class, axis=0).tolist(), strict=True))


def _hits(overlaps: Sequence[NDArray[np.float64]], num_true: int, threshold: float) -> NDArray[np.bool_]:
    taken, hits = np.zeros(num_true, np.bool_), np.zeros(len(overlaps), np.bool_)
    for row, overlap in enumerate(overlaps):
        best = int(overlap.argmax())
        if overlap[best] >= threshold and not taken[best]:
            taken[best] = hits[row] = True
    return hits
