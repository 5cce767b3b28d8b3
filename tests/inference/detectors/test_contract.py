import numpy as np
import pytest

from kinema.errors import UsageError
from kinema.inference.detectors.contract import COCO, FunctionDetector

FRAMES = np.zeros((2, 8, 12, 3), np.uint8)


def test_a_function_is_called_for_each_frame():
    detector = FunctionDetector(lambda frame: ([[0, 1, frame.shape[1], 4]], [0.9], [0]))
    first, second = detector(FRAMES)
    assert first.boxes.tolist() == second.boxes.tolist() == [[0, 1, 12, 4]]
    assert (detector.kinds, detector.kinds[0], len(COCO)) == (COCO, "person", 80)


def test_a_function_may_find_nothing():
    (found, _) = FunctionDetector(lambda frame: (np.zeros(0), np.zeros(0), np.zeros(0)))(FRAMES)
    assert found.boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (([[0, 0, 1, 1]], [0.5, 0.5], [0]), "shapes"),
        (([[0, 0, np.nan, 1]], [0.5], [0]), "not finite"),
        (([[0, 0, 1, 1]], [0.5]), "three arrays"),
    ],
)
def test_other_answers_are_refused(answer, message):
    with pytest.raises(UsageError, match=message):
        FunctionDetector(lambda frame: answer)(FRAMES)
