import numpy as np
import pytest

from kinema.predictions import Segment
from kinema.tracks import FrameBoxes, Track
from kinema.types import TimeSpan


@pytest.fixture
def walk() -> Track:
    """A box that moves by 10 px in each second, with a gap of 4 s."""
    times_s = np.array([0.0, 1.0, 5.0])
    boxes = np.array([[0, 0, 4, 8], [10, 0, 14, 8], [50, 0, 54, 8]], float)
    return Track(1, times_s, np.array([0, 25, 125]), boxes, np.array([0.5, 0.7, 0.9]))


def test_boxes_between_detections_are_interpolated(walk):
    assert walk.boxes_at(np.array([0.0, 0.25, 1.0]))[:, 0].tolist() == [0, 2.5, 10]


def test_there_is_no_box_in_a_long_gap_nor_outside(walk):
    found = walk.boxes_at(np.array([-0.1, 3.0, 5.0, 5.1]))
    assert np.isnan(found[[0, 1, 3]]).all()
    assert found[2].tolist() == [50, 0, 54, 8]
    assert walk.boxes_at(np.array([3.0]), largest_gap_s=5)[0, 0] == 30


def test_json_has_labels_and_boxes(walk):
    labelled = Track(
        7, walk.times_s, walk.frames, walk.boxes, walk.scores, (Segment(TimeSpan(0, 1), "walk", 0.8),)
    )  # fmt: skip
    values = labelled.to_json()
    assert (values["id"], values["labels"][0]["label"]) == (7, "walk")
    assert values["boxes"][1] == {"time_s": 1.0, "frame": 25, "box": [10, 0, 14, 8], "score": 0.7}


def test_records_check_themselves():
    with pytest.raises(ValueError, match="not finite"):
        FrameBoxes(3, 0.1, np.array([[0, 0, np.nan, 1]]), np.ones(1))
    with pytest.raises(ValueError, match="does not fit"):
        FrameBoxes(3, 0.1, np.zeros((2, 4)), np.ones(1))
    with pytest.raises(ValueError, match="at least one"):
        Track(1, np.zeros(0), np.zeros(0, int), np.zeros((0, 4)), np.zeros(0))
