"""Losses against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from kinema.training.losses import ClipLoss, balanced_weights


def test_cross_entropy_by_hand_with_smoothing():
    logits = torch.tensor([[2.0, 0.0]])
    p = math.exp(2) / (math.exp(2) + 1)
    expected = -(0.95 * math.log(p) + 0.05 * math.log(1 - p))
    assert float(ClipLoss(2, smoothing=0.1)(logits, torch.tensor([0]))) == pytest.approx(expected, rel=1e-5)


def test_several_labels_use_one_sigmoid_a_class():
    loss = ClipLoss(2, multi_label=True)(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 1.0]]))
    assert float(loss) == pytest.approx(math.log(2), rel=1e-5)


def test_balanced_weights_weigh_an_average_example_one():
    counts = [30, 10, 0]
    weights = balanced_weights(counts)
    assert weights[1] == pytest.approx(3 * float(weights[0]))
    assert weights[2] == 0
    assert sum(c * float(w) for c, w in zip(counts, weights, strict=True)) == pytest.approx(sum(counts))
