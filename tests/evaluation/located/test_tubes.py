"""Video mAP of tubes and its three conventions."""

import numpy as np
import pytest

from kinema.errors import DataError
from kinema.evaluation.located.tubes import LabelledTube, tube_iou, video_map

BOX = np.array([0, 0, 9, 9], float)


def tube(
    first: int, frames: int, label: str = "a", video: str = "v", score: float = 1.0, shift: float = 0
) -> LabelledTube:
    return LabelledTube(video, label, first, np.tile(BOX + np.array([shift, 0, shift, 0]), (frames, 1)), score)


@pytest.mark.parametrize(
    ("convention", "time", "space"),
    [("plus-one", 6 / 14, 50 / 150), ("exact", 6 / 14, 36 / 126), ("multisports", 5 / 13, 36 / 126)],
)
def test_overlap_in_each_convention(convention, time, space):
    # Frames 0 to 9 and 4 to 13 share 4 to 9; boxes of 9 pixels, moved by 5.
    assert tube_iou(tube(0, 10), tube(4, 10, shift=5), convention) == pytest.approx(time * space)


def test_tubes_apart_in_time_or_space_do_not_overlap():
    assert tube_iou(tube(0, 5), tube(5, 5), "plus-one") == 0
    assert tube_iou(tube(0, 5), tube(0, 5, shift=50), "plus-one") == 0
    assert tube_iou(tube(0, 1), tube(0, 1), "plus-one") == 1
    assert tube_iou(tube(0, 1), tube(0, 1), "multisports") == 0  # a tube of one frame has no length there


def test_a_second_answer_to_a_taken_tube_is_wrong():
    truth = [tube(0, 10), tube(0, 10, video="w")]
    answers = [tube(0, 10, score=0.9), tube(0, 10, score=0.8), tube(0, 10, video="w", score=0.7)]
    assert video_map(truth, answers, [0.5]) == {0.5: pytest.approx((1 + 2 / 3) / 2)}


def test_mean_over_the_classes_of_the_truth():
    truth = [tube(0, 10), tube(0, 10, "b")]
    assert video_map(truth, [tube(0, 10), tube(0, 10, "c")], [0.2, 0.5]) == {0.2: 0.5, 0.5: 0.5}
    assert video_map(truth, [], [0.5]) == {0.5: 0.0}
    with pytest.raises(DataError, match="no true tube"):
        video_map([], [tube(0, 10)])
