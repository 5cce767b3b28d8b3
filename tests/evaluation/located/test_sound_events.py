"""Error rate and F1 of events with onset and offset."""

import numpy as np
import pytest

from kinema.evaluation.located.segments import SegmentTable
from kinema.evaluation.located.sound_events import event_counts, piece_counts


def table(*rows) -> SegmentTable:
    times = np.array([row[1:] for row in rows], float).reshape(-1, 2)
    return SegmentTable(np.full(len(rows), "v"), np.array([row[0] for row in rows], str), times, np.ones(len(rows)))


def test_pieces_count_substitutions_deletions_and_insertions():
    # Pieces of 1 s: true a a a b; answered b b a a and, after the end, a.
    counts = piece_counts(table(("a", 0, 3), ("b", 3, 4)), table(("b", 0, 2), ("a", 2, 5)))
    assert (counts.num_true, counts.num_answers, counts.num_right) == (4, 5, 1)
    assert (counts.substitutions, counts.deletions, counts.insertions) == (3, 0, 1)
    assert counts.error_rate == 1.0
    assert (counts.precision, counts.recall, counts.f1) == pytest.approx((1 / 5, 1 / 4, 2 / 9))


def test_a_piece_is_active_if_an_event_touches_it():
    assert piece_counts(table(("a", 0.9, 1.1)), table(("a", 0, 2))).error_rate == 0


def test_events_match_within_the_collar_and_a_share_of_their_length():
    truth = table(("a", 1, 3))
    assert event_counts(truth, table(("a", 1.25, 2))).num_right == 1  # the offset may differ by half the length
    assert event_counts(truth, table(("a", 1.3, 3))).num_right == 0
    assert event_counts(truth, table(("a", 1, 1.9))).num_right == 0
    assert event_counts(truth, table(("a", 1, 1.9)), offset_share=None).num_right == 1


def test_as_many_events_as_possible_are_matched():
    # The first answer is near both true events, the second near the first only.
    truth, answers = table(("a", 1, 3), ("a", 1.4, 3)), table(("a", 1.2, 3), ("a", 0.8, 3))
    assert event_counts(truth, answers).num_right == 2


def test_a_wrong_label_at_the_right_time_is_a_substitution():
    counts = event_counts(table(("a", 1, 3), ("a", 8, 9)), table(("b", 1, 3), ("b", 5, 6), ("b", 6, 7)))
    assert (counts.substitutions, counts.deletions, counts.insertions) == (1, 1, 2)
    assert counts.error_rate == 2.0
