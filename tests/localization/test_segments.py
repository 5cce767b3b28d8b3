from __future__ import annotations

import itertools
import time

import numpy as np

from kinema.localization.segments import SegmentOptions, merge_segments
from kinema.predictions import Timeline


def timeline(letters: str, step_s: float = 1.0, length_s: float = 1.0, score: float = 0.8) -> Timeline:
    """One prediction a letter; each clip begins `step_s` after the one before."""
    labels = tuple(sorted(set(letters) | {"a", "b"}))
    scores = np.full((len(letters), len(labels)), (1 - score) / (len(labels) - 1), np.float32)
    scores[np.arange(len(letters)), [labels.index(letter) for letter in letters]] = score
    starts = np.arange(len(letters)) * step_s
    spans = np.stack([starts, starts + length_s], axis=1)
    return Timeline(scores, spans.mean(axis=1), spans, labels, scores)


def spans(segments) -> list[tuple[float, float, str]]:
    return [(s.span.start_s, s.span.end_s, s.label) for s in segments]


def test_neighbours_of_one_label_become_one_segment() -> None:
    assert spans(merge_segments(timeline("aabbba"))) == [(0, 2, "a"), (2, 5, "b"), (5, 6, "a")]


def test_overlapping_clips_meet_midway_between_their_centres() -> None:
    found = merge_segments(timeline("aabb", step_s=1.0, length_s=4.0))
    assert spans(found) == [(0, 3.5, "a"), (3.5, 7, "b")]


def test_clips_with_time_between_them_stand_for_it_too() -> None:
    track = timeline("ab", step_s=5.0)
    assert track.cells_s.tolist() == [[0, 3], [3, 6]]


def test_a_short_unsure_time_is_bridged() -> None:
    track = timeline("aaa")
    track.scores[1] = 0.5
    assert len(merge_segments(track, SegmentOptions(min_score=0.7))) == 2
    assert spans(merge_segments(track, SegmentOptions(min_score=0.7, max_gap_s=1.0))) == [(0, 3, "a")]


def test_short_segments_go_to_the_neighbour_that_fits_better() -> None:
    options = SegmentOptions(min_duration_s=2.0)
    assert spans(merge_segments(timeline("aaabaaa"), options)) == [(0, 7, "a")]
    assert spans(merge_segments(timeline("ababab"), options))[0][0] == 0
    track = timeline("aaacbbb")
    track.scores[3] = [0.1, 0.3, 0.6]
    assert spans(merge_segments(track, options)) == [(0, 3, "a"), (3, 7, "b")]


def test_a_video_shorter_than_the_least_duration_has_no_segment() -> None:
    assert merge_segments(timeline("a"), SegmentOptions(min_duration_s=2.0)) == ()


def test_unsure_times_belong_to_no_segment() -> None:
    track = timeline("aaabb")
    track.scores[1] = 0.5
    assert spans(merge_segments(track, SegmentOptions(min_score=0.7))) == [(0, 1, "a"), (2, 3, "a"), (3, 5, "b")]


def test_score_is_the_mean_of_the_label_s_scores() -> None:
    track = timeline("aa")
    track.scores[0] = [0.6, 0.4]
    assert round(merge_segments(track)[0].score, 6) == 0.7


def test_segments_never_overlap_whatever_the_scores() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        starts = np.cumsum(rng.random(30))
        track_spans = np.stack([starts, starts + rng.random() * 3 + 0.1], axis=1)
        scores = rng.dirichlet(np.ones(3), 30).astype(np.float32)
        track = Timeline(scores, track_spans.mean(axis=1), track_spans, ("a", "b", "c"), scores)
        options = SegmentOptions(min_duration_s=rng.random(), min_score=rng.random() / 2, max_gap_s=rng.random())
        found = merge_segments(track, options)
        for one, next_one in itertools.pairwise(found):
            assert one.span.end_s <= next_one.span.start_s


def test_short_segments_of_a_video_of_hours_take_no_hours() -> None:
    scores = np.random.default_rng(0).random((50_000, 5), dtype=np.float32)
    edges = np.arange(len(scores) + 1) / 25
    track_spans = np.stack([edges[:-1], edges[1:]], axis=1)
    track = Timeline(scores, track_spans.mean(axis=1), track_spans, tuple("abcde"), scores)
    started = time.process_time()
    found = merge_segments(track, SegmentOptions(min_duration_s=1.0))
    assert time.process_time() - started < 10
    assert min(segment.span.duration_s for segment in found) >= 1
    assert all(one.span.end_s == other.span.start_s for one, other in itertools.pairwise(found))


def test_no_prediction_no_segment() -> None:
    empty = Timeline(
        np.zeros((0, 2), np.float32), np.zeros(0), np.zeros((0, 2)), ("a", "b"), np.zeros((0, 2), np.float32)
    )
    assert merge_segments(empty) == ()
