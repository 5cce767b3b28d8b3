import numpy as np
import pytest

from kinema.boxes import best_boxes, box_iou


def test_iou_of_boxes_with_and_without_the_last_pixel():
    first, second = np.array([[0, 0, 9, 9]], float), np.array([[5, 0, 14, 9], [20, 20, 30, 30]], float)
    assert box_iou(first, second) == pytest.approx(np.array([[36 / (81 + 81 - 36), 0]]))
    assert box_iou(first, second, 1) == pytest.approx(np.array([[50 / 150, 0]]))


def test_a_box_without_an_area_overlaps_nothing():
    assert box_iou(np.zeros((1, 4)), np.zeros((1, 4))).tolist() == [[0.0]]


def test_the_best_of_boxes_that_overlap_is_kept():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10]], float)
    assert best_boxes(boxes, np.array([0.5, 0.9, 0.6]), 0.5).tolist() == [1, 2]
    assert best_boxes(boxes, np.array([0.5, 0.9, 0.6]), 0.95).tolist() == [1, 2, 0]
    assert best_boxes(boxes[:0], np.zeros(0), 0.5).tolist() == []
