"""Error rate and F1 of events with onset and offset, as sed_eval computes them (Mesaros et al. 2016).

Segment-based: time is divided into pieces of fixed length, and a class is active in a piece that any of its events touches.
In each piece, substitutions are the pairs of a missed and a wrong class, deletions the other missed ones, insertions the other
wrong ones; the error rate is their number divided by the active true classes. Event-based: an answer is right if its onset is
within a collar of the true onset, and its offset within the larger of the collar and a share of the true length; answers and
truth are matched one to one, as many as possible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.evaluation.located.segments import SegmentTable


@dataclass(frozen=True, slots=True)
class EventCounts:
    """Counts over all videos and classes: active true ones, answered ones, right ones, and kinds of error."""

    num_true: int
    num_answers: int
    num_right: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def error_rate(self) -> float:
        """Substitutions, deletions and insertions by true events."""
        return (self.substitutions + self.deletions + self.insertions) / max(self.num_true, 1)

    @property
    def precision(self) -> float:
        """Share of the answers that is right."""
        return self.num_right / max(self.num_answers, 1)

    @property
    def recall(self) -> float:
        """Share of the true events that is found."""
        return self.num_right / max(self.num_true, 1)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.num_right / max(self.num_true + self.num_answers, 1)


def piece_counts(truth: SegmentTable, answers: SegmentTable, piece_s: float = 1.0) -> EventCounts:
    """Segment-based counts with pieces of `piece_s` seconds."""
    right = true_total = answer_total = substituted = deleted = inserted = 0
    classes = sorted({*truth.labels.tolist(), *answers.labels.tolist()})
    for video in sorted({*truth.videos.tolist(), *answers.videos.tolist()}):
        sides = [table.take(table.videos == video) for table in (truth, answers)]
        num_pieces = int(np.ceil(max((side.times_s.max() for side in sides if len(side)), default=0) / piece_s))
        true, answered = (_activity(side, classes, num_pieces, piece_s) for side in sides)
        both = (true & answered).sum(axis=1)
        missed, wrong = true.sum(axis=1) - both, answered.sum(axis=1) - both
        right, true_total, answer_total = right + both.sum(), true_total + true.sum(), answer_total + answered.sum()
        substituted += np.minimum(missed, wrong).sum()
        deleted += np.maximum(missed - wrong, 0).sum()
        inserted += np.maximum(wrong - missed, 0).sum()
    return EventCounts(*map(int, (true_total, answer_total, right, substituted, deleted, inserted)))


def _activity(table: SegmentTable, classes: Sequence[str], num_pieces: int, piece_s: float) -> NDArray[np.bool_]:
    """Whether each class is active in each piece [pieces classes]."""
    active = np.zeros((num_pieces, len(classes)), np.bool_)
    for label, (start_s, end_s) in zip(table.labels.tolist(), table.times_s.tolist(), strict=True):
        active[int(np.floor(start_s / piece_s)) : int(np.ceil(end_s / piece_s)), classes.index(label)] = True
    return active


def event_counts(
    truth: SegmentTable, answers: SegmentTable, collar_s: float = 0.25, offset_share: float | None = 0.5
) -> EventCounts:
    """Event-based counts. A true and an answered event that would match but for their labels are a substitution.

    Args:
        truth: true events.
        answers: answered events.
        collar_s: largest difference of onsets, and least allowed difference of offsets.
        offset_share: allowed difference of offsets as a share of the true length; None compares no offsets.
    """
    right = substituted = 0
    answer_rows = answers.by_video()
    for video, rows in truth.by_video().items():
        if video not in answer_rows:
            continue
        true, answered = truth.take(rows), answers.take(answer_rows[video])
        near = np.abs(true.times_s[:, None, 0] - answered.times_s[None, :, 0]) <= collar_s + 1e-9
        if offset_share is not None:
            allowed_s = np.maximum(collar_s, offset_share * np.diff(true.times_s))
            near &= np.abs(true.times_s[:, None, 1] - answered.times_s[None, :, 1]) <= allowed_s + 1e-9
        same = true.labels[:, None] == answered.labels[None, :]
        taken = _largest_matching(near & same)
        right += int((taken >= 0).sum())
        rest_true, rest_answers = taken < 0, ~np.isin(np.arange(len(answered)), taken)
        substituted += int((_largest_matching((near & ~same)[rest_true][:, rest_answers]) >= 0).sum())
    deletions = len(truth) - right - substituted
    return EventCounts(
        len(truth), len(answers), right, substituted, deletions, len(answers) - right - substituted
    )  # fmt: skip


def _largest_matching(allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The column that each row takes in a largest matching, -1 for none [rows]."""
    if not allowed.any():
        return np.full(len(allowed), -1, np.int64)
    return maximum_bipartite_matching(csr_array(allowed), perm_type="column").astype(np.int64)
