from pathlib import Path

import numpy as np
import pytest

from kinema.errors import CheckpointError
from kinema.inference.detectors.onnx_file import OnnxDetector

from .conftest import write_onnx


def test_boxes_come_back_in_pixels_of_the_frame(fastestdet):
    frames = np.zeros((3, 80, 160, 3), np.uint8)
    for found in OnnxDetector(fastestdet)(frames):
        person = found.classes == 0
        assert found.boxes[person] == pytest.approx(np.array([[60, 20, 100, 60]]), abs=0.01)
        assert found.scores[person] == pytest.approx([0.9])


def test_a_box_of_another_class_at_the_same_place_is_no_double(fastestdet):
    (found,) = OnnxDetector(fastestdet)(np.zeros((1, 80, 160, 3), np.uint8))
    assert sorted(found.classes.tolist()) == [0, 16]


def test_an_unknown_layout_is_an_error_that_says_its_shapes_and_the_known_ones(tmp_path):
    path = write_onnx(tmp_path / "other.onnx", (64, 64), [np.zeros((1, 25200, 85), np.float32)])
    with pytest.raises(
        CheckpointError, match=r"input \[1, 3, 64, 64\], outputs \[1, 25200, 85\].*FastestDet.*YOLOX.*NanoDet"
    ):
        OnnxDetector(path)


def test_a_file_that_is_cut_off_is_one_error(fastestdet, tmp_path):
    path = tmp_path / "cut.onnx"
    path.write_bytes(Path(fastestdet).read_bytes()[:2000])
    with pytest.raises(CheckpointError, match=r"cannot be read.*cut.onnx.*cut off"):
        OnnxDetector(str(path))


def test_a_missing_file_is_an_error():
    with pytest.raises(CheckpointError, match=r"no such file: nowhere.onnx"):
        OnnxDetector("nowhere.onnx")
