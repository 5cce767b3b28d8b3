"""Tracking figures over boxes with identities: CLEAR MOT (Bernardin & Stiefelhagen 2008) and IDF1 (Ristani et al. 2016).

In each frame a true box keeps the answer that it had last if they still overlap enough, and all others are matched with the
largest total overlap. A true track whose matched answer changes its identity counts one switch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from kinema.boxes import box_iou
from kinema.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class TrackedFrame:
    """Identities [n] and boxes [n 4] (left, top, right, bottom) in one frame."""

    ids: NDArray[np.int64]
    boxes: NDArray[np.float64]


EMPTY = TrackedFrame(np.zeros(0, np.int64), np.zeros((0, 4)))


@dataclass(frozen=True, slots=True)
class TrackingScores:
    """Counts of one video, or of several. Mostly tracked: at least 80 % of its frames matched; mostly lost: less than 20 %."""

    num_true: int
    num_answers: int
    num_matches: int
    switches: int
    fragmentations: int
    id_matches: int
    num_tracks: int
    mostly_tracked: int
    mostly_lost: int
    overlap: float

    def __add__(self, other: TrackingScores) -> TrackingScores:
        """The counts of two videos together, as benchmarks sum them before figures are computed."""
        return TrackingScores(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def mota(self) -> float:
        """1 - (missed + false + switches) / true boxes."""
        wrong = self.num_true + self.num_answers - 2 * self.num_matches + self.switches
        return 1 - wrong / self.num_true

    @property
    def motp(self) -> float:
        """Mean IoU of the matches."""
        return self.overlap / max(self.num_matches, 1)

    @property
    def recall(self) -> float:
        """Share of the true boxes that are matched."""
        return self.num_matches / self.num_true

    @property
    def precision(self) -> float:
        """Share of the answered boxes that are matched."""
        return self.num_matches / max(self.num_answers, 1)

    @property
    def idf1(self) -> float:
        """F1 of boxes whose track is matched with the same answered track in the whole video."""
        return 2 * self.id_matches / (self.num_true + self.num_answers)


@dataclass(slots=True)
class _TrueTrack:
    """What has happened to one true track: whether it was matched in each frame that it has, and with whom last."""

    matched: list[bool] = field(default_factory=list)
    last: int | None = None

    @property
    def fragmentations(self) -> int:
        """How often the track is lost and found again."""
        known = np.flatnonzero(self.matched)
        return int((np.diff(known) > 1).sum())


def tracking_scores(
    truth: Mapping[int, TrackedFrame], answers: Mapping[int, TrackedFrame], min_iou: float = 0.5
) -> TrackingScores:
    """CLEAR MOT and identity figures of one video.

    Args:
        truth: true boxes by frame.
        answers: answered boxes by frame; frames without any may be left out.
        min_iou: least overlap of a match.

    Raises:
        DataError: there is no true box.
    """
    num_true = sum(len(frame.ids) for frame in truth.values())
    if not num_true:
        raise DataError("there is no true box to compare with", "", "check the part and the file of the truth")
    tracks: dict[int, _TrueTrack] = {}
    matches = switches = 0
    overlap = 0.0
    together: dict[tuple[int, int], int] = {}
    for number in sorted({*truth, *answers}):
        true, found = truth.get(number, EMPTY), answers.get(number, EMPTY)
        overlaps = box_iou(true.boxes, found.boxes)
        enough = overlaps >= min_iou
        for row, column in np.argwhere(enough):
            pair = (int(true.ids[row]), int(found.ids[column]))
            together[pair] = together.get(pair, 0) + 1
        last = [tracks.setdefault(int(identity), _TrueTrack()).last for identity in true.ids]
        pairs = _match(overlaps, enough, last, found.ids)
        for row, identity in enumerate(true.ids.tolist()):
            track, column = tracks[identity], pairs.get(row)
            track.matched.append(column is not None)
            if column is not None:
                answer = int(found.ids[column])
                switches += track.last is not None and track.last != answer
                track.last = answer
                matches, overlap = matches + 1, overlap + float(overlaps[row, column])
    shares = [np.mean(track.matched) for track in tracks.values()]
    return TrackingScores(
        num_true=num_true,
        num_answers=sum(len(frame.ids) for frame in answers.values()),
        num_matches=matches,
        switches=switches,
        fragmentations=sum(track.fragmentations for track in tracks.values()),
        id_matches=_largest_total(together),
        num_tracks=len(tracks),
        mostly_tracked=sum(bool(share >= 0.8) for share in shares),
        mostly_lost=sum(bool(share < 0.2) for share in shares),
        overlap=overlap,
    )


def _match(
    overlaps: NDArray[np.float64], enough: NDArray[np.bool_], last: list[int | None], found: NDArray[np.int64]
) -> dict[int, int]:
    """The column that each row takes, of those that overlap enough."""
    pairs: dict[int, int] = {}
    for row, identity in enumerate(last):
        kept = np.flatnonzero((found == identity) & enough[row]).tolist() if identity is not None else []
        if kept and kept[0] not in pairs.values():
            pairs[row] = kept[0]
    rows = [row for row in range(len(last)) if row not in pairs]
    columns = [column for column in range(len(found)) if column not in pairs.values()]
    # A pair that does not overlap enough costs more than all others together, so that as many as possible are matched.
    costs = np.where(enough, 1 - overlaps, 1e6)[rows][:, columns]
    for place, column in zip(*linear_sum_assignment(costs), strict=True):
        if enough[rows[place], columns[column]]:
            pairs[rows[place]] = columns[column]
    return pairs


def _largest_total(together: Mapping[tuple[int, int], int]) -> int:
    """Frames that true and answered tracks share, if each is matched with one of the other side."""
    true, found = (sorted({pair[side] for pair in together}) for side in (0, 1))
    table = np.zeros((len(true), len(found)))
    for (a, b), count in together.items():
        table[true.index(a), found.index(b)] = count
    return int(table[linear_sum_assignment(-table)].sum())
