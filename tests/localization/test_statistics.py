"""Counts from segments."""

import json

from kinema.localization.statistics import label_statistics
from kinema.predictions import Segment
from kinema.types import TimeSpan


def segments(*rows: tuple[float, float, str]) -> list[Segment]:
    return [Segment(TimeSpan(start, end), label, 0.5) for start, end, label in rows]


def test_how_often_how_long_first_last_and_gaps():
    video = segments((10, 12, "run"), (1, 2, "run"), (4, 8, "run"), (0, 20, "rest"))
    run, rest = label_statistics({"v": video})
    assert (run.label, run.count, run.total_s, run.mean_s) == ("run", 3, 7, 7 / 3)
    assert (run.shortest_s, run.longest_s, run.first_s, run.last_s) == (1, 4, 1, 12)
    assert (run.mean_gap_s, run.longest_gap_s) == (2, 2)
    assert (rest.count, rest.mean_gap_s, rest.longest_gap_s) == (1, None, None)


def test_time_in_two_segments_counts_once():
    (found,) = label_statistics({"v": segments((0, 10, "a"), (2, 4, "a"), (8, 12, "a"), (13, 14, "a"))})
    assert (found.total_s, found.longest_gap_s, found.mean_gap_s) == (13, 1, 1)


def test_gaps_are_inside_a_video_and_counts_over_all():
    (found,) = label_statistics({"v": segments((0, 1, "a"), (3, 4, "a")), "w": segments((100, 104, "a")), "x": []})
    assert (found.count, found.num_sources, found.total_s, found.mean_gap_s) == (3, 2, 6, 2)
    assert (found.first_s, found.last_s) == (0, 104)


def test_json_is_rounded_and_nothing_found_is_an_empty_list():
    (found,) = label_statistics({"v": segments((0, 1 / 3, "a"))})
    assert json.loads(json.dumps(found.to_json()))["total_s"] == 0.333
    assert label_statistics({"v": []}) == ()
