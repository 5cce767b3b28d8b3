"""Suppression of overlapping segments against hand-computed cases and torchvision."""

from __future__ import annotations

import numpy as np
import torch
from torchvision.ops import nms as torchvision_nms

from kinema.models.located.suppression import nms, overlaps, soft_nms, suppress, vote


def random_segments(rng: np.random.Generator, count: int) -> np.ndarray:
    starts = rng.uniform(0, 50, count)
    return np.stack([starts, starts + rng.uniform(0.5, 20, count)], axis=1)


def test_nms_is_that_of_torchvision_on_flat_boxes():
    rng = np.random.default_rng(0)
    times, scores = random_segments(rng, 200), rng.random(200)
    boxes = torch.from_numpy(np.stack([times[:, 0], np.zeros(200), times[:, 1], np.ones(200)], axis=1))
    for most in (0.1, 0.5, 0.7):
        expected = torchvision_nms(boxes, torch.from_numpy(scores), most)
        np.testing.assert_array_equal(nms(times, scores, most), expected.numpy())
    np.testing.assert_array_equal(nms(times, scores, 0.5, most=3), nms(times, scores, 0.5)[:3])


def test_soft_nms_by_hand():
    times = np.array([[0.0, 10.0], [0.0, 5.0], [20.0, 30.0]])
    kept, lowered = soft_nms(times, np.array([0.9, 0.8, 0.5]), sigma=0.5, floor=0.001)
    # tIoU of the first two is 0.5: 0.8 * exp(-0.25 / 0.5) = 0.4852, which is now below the third.
    assert kept.tolist() == [0, 2, 1]
    np.testing.assert_allclose(lowered, [0.9, 0.5, 0.8 * np.exp(-0.5)])


def test_soft_nms_leaves_out_what_falls_below_the_floor():
    times = np.array([[0.0, 10.0], [0.0, 10.0]])
    kept, _ = soft_nms(times, np.array([0.9, 0.1]), sigma=0.5, floor=0.05)
    assert kept.tolist() == [0]  # 0.1 * exp(-2) = 0.0135


def test_votes_are_weighted_by_score_and_overlap():
    times = np.array([[0.0, 10.0], [0.0, 8.0], [30.0, 40.0]])
    voted = vote(times[:1], times, np.array([1.0, 0.5, 0.9]), least_overlap=0.7)
    np.testing.assert_allclose(voted, [[0.0, (10 * 1.0 + 8 * 0.4) / 1.4]])


def test_classes_do_not_suppress_each_other():
    times = np.array([[0.0, 10.0], [0.0, 10.0]])
    found, classes, scores = suppress(
        times, np.array([1, 0]), np.array([0.6, 0.9]), sigma=0.5, floor=0.001, least_vote=2.0, most=10
    )
    assert classes.tolist() == [0, 1]
    assert scores.tolist() == [0.9, 0.6]
    np.testing.assert_array_equal(found, times)


def test_nothing_stays_nothing():
    found, classes, scores = suppress(
        np.zeros((0, 2)), np.zeros(0, np.int64), np.zeros(0), sigma=0.5, floor=0.001, least_vote=0.7, most=10
    )
    assert found.shape == (0, 2)
    assert len(classes) == len(scores) == 0


def test_segments_without_overlap_or_length_have_none():
    np.testing.assert_array_equal(overlaps(np.array([[0.0, 1.0], [2.0, 2.0]]), np.array([[1.0, 2.0], [2.0, 2.0]])), 0)
