"""CLEAR MOT and identity figures, counted by hand."""

import json

import numpy as np
import pytest

from kinema.errors import DataError
from kinema.evaluation.located.tracking import TrackedFrame, tracking_scores


def frame(**places: float) -> TrackedFrame:
    """Boxes of 10 x 10 whose identities are the digits of the names."""
    boxes = np.array([[x, 0, x + 10, 10] for x in places.values()], float).reshape(-1, 4)
    return TrackedFrame(np.array([int(name[1:]) for name in places], np.int64), boxes)


def test_a_perfect_tracker():
    video = {number: frame(t1=number, t2=50 + number) for number in range(5)}
    scores = tracking_scores(video, video)
    assert (scores.mota, scores.idf1, scores.motp, scores.switches, scores.mostly_tracked) == (1, 1, 1, 0, 2)


def test_misses_false_answers_and_a_switch():
    truth = {number: frame(t1=0) for number in range(4)}
    answers = {0: frame(a7=0), 1: frame(a7=0, a9=80), 3: frame(a8=0)}
    scores = tracking_scores(truth, answers)
    assert (scores.num_matches, scores.switches, scores.fragmentations) == (3, 1, 1)
    assert scores.mota == pytest.approx(1 - (1 + 1 + 1) / 4)
    assert (scores.recall, scores.precision) == (3 / 4, 3 / 4)
    assert scores.idf1 == 2 * 2 / (4 + 4)
    assert (scores.mostly_tracked, scores.mostly_lost) == (0, 0)


def test_a_match_is_kept_while_it_overlaps_enough():
    # In the second frame another answer overlaps more, but the first one still does.
    truth = {0: frame(t1=0), 1: frame(t1=0)}
    answers = {0: frame(a5=0), 1: frame(a5=3, a6=0)}
    scores = tracking_scores(truth, answers)
    assert (scores.num_matches, scores.switches) == (2, 0)


def test_as_many_boxes_as_possible_are_matched():
    # The best single pair would leave the other true box without an answer.
    truth, answers = {0: frame(t1=0, t2=3)}, {0: frame(a1=3, a2=6)}
    assert tracking_scores(truth, answers).num_matches == 2


def test_frames_without_answers_or_truth_count():
    scores = tracking_scores({0: frame(t1=0)}, {1: frame(a1=0)})
    assert (scores.num_matches, scores.mota, scores.mostly_lost) == (0, -1.0, 1)
    with pytest.raises(DataError, match="no true box"):
        tracking_scores({0: frame()}, {0: frame(a1=0)})


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["TUD-Campus", "TUD-Stadtmitte"])
def test_the_official_program_gives_the_same(real_data, name):
    def read(path) -> dict[int, TrackedFrame]:
        rows = np.array([[float(x) for x in line.split(",")[:6]] for line in path.read_text().split()])
        rows[:, 4:6] += rows[:, 2:4]
        return {
            int(number): TrackedFrame(own[:, 1].astype(np.int64), own[:, 2:6])
            for number in np.unique(rows[:, 0])
            for own in [rows[rows[:, 0] == number]]
        }

    folder = real_data.parent / "golden/where/mot"
    scores = tracking_scores(read(folder / name / "gt.txt"), read(folder / name / "test.txt"))
    official = json.loads((folder / "expected.json").read_text())[name]
    found = (scores.idf1, scores.recall, scores.precision, scores.mota, 1 - scores.motp)
    expected = [official[key] for key in ("IDF1", "Rcll", "Prcn", "MOTA", "MOTP_distance")]
    assert found == pytest.approx(expected, abs=5.1e-4)
    counts = (scores.num_tracks, scores.mostly_tracked, scores.mostly_lost, scores.switches, scores.fragmentations)
    assert counts == tuple(official[key] for key in ("GT", "MT", "ML", "IDs", "FM"))
