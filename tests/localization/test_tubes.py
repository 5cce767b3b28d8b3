import numpy as np
import pytest

from kinema.localization.tubes import link_tubes
from kinema.tracks import FrameBoxes


def frame(number: int, *rows: tuple[float, float]) -> FrameBoxes:
    """Boxes of 10 x 10 pixels by left and score, at 10 frames a second."""
    boxes = np.array([[left, 0, left + 10, 10] for left, _ in rows], float).reshape(-1, 4)
    return FrameBoxes(number, number / 10, boxes, np.array([score for _, score in rows], float))


def test_two_actors_become_two_tubes_the_best_first():
    tubes = link_tubes([frame(n, (n, 0.5), (50 - n, 0.9)) for n in range(4)])
    assert [(len(tube), tube.score) for tube in tubes] == [(4, pytest.approx(0.9)), (4, pytest.approx(0.5))]
    assert tubes[0].boxes[:, 0].tolist() == [50, 49, 48, 47]
    assert tubes[1].frames.tolist() == [0, 1, 2, 3]


def test_the_best_path_is_not_the_greedy_one():
    # From 0 a greedy link takes 5 (score 0.9), from which nothing leads on; the path over 1 is worth more.
    tubes = link_tubes([frame(0, (0, 0.5)), frame(1, (5, 0.9), (1, 0.6)), frame(2, (-4, 0.9))], min_iou=0.3)
    assert tubes[0].boxes[:, 0].tolist() == [0, 1, -4]
    assert tubes[1].boxes[:, 0].tolist() == [5]


def test_overlap_and_score_are_weighed():
    frames = [frame(0, (0, 0.5)), frame(1, (0, 0.5), (5, 0.9))]  # overlaps 1 and 1/3
    assert link_tubes(frames)[0].boxes[1, 0] == 0
    assert link_tubes(frames, overlap_weight=0.1)[0].boxes[1, 0] == 5


def test_a_short_gap_is_bridged_and_a_long_one_is_not():
    frames = [frame(0, (0, 0.5)), frame(1), frame(4, (0, 0.5)), frame(12, (0, 0.5))]
    assert [tube.frames.tolist() for tube in link_tubes(frames)] == [[0, 4], [12]]
    assert [tube.frames.tolist() for tube in link_tubes(frames, min_boxes=2)] == [[0, 4]]


def test_no_box_gives_no_tube():
    assert link_tubes([]) == link_tubes([frame(0)]) == ()
