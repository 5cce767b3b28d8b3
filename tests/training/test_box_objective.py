"""The loss of boxes: that of their own clip, several labels, and batches without any box."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from kinema.clips.transforms import normalize
from kinema.datasets.box_clips import BoxBatch
from kinema.models import build
from kinema.models.network import Network
from kinema.training.box_objective import BoxObjective


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    return build(
        "roi_head", num_classes=3, members=[{"variant": "slow_fusion_tiny", "arguments": {"width": 4}}],
        spec={"clip_len": 4, "size": (32, 32)},
    ).eval()  # fmt: skip


def batch_of(boxes: list[list[float]], targets: list[list[float]]) -> BoxBatch:
    clips = torch.randint(0, 256, (2, 3, 4, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return BoxBatch(
        clips,
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 5),
        torch.tensor(targets, dtype=torch.float32).reshape(-1, 3),
        torch.tensor([5, 7]),
    )


def test_each_box_is_scored_in_its_own_clip(network):
    batch = batch_of([[0, 2, 2, 20, 30], [1, 0, 0, 16, 16], [1, 10, 4, 32, 32]], [[1, 1, 0], [0, 0, 1], [0, 0, 0]])
    objective = BoxObjective(network)
    lesson = objective.learn(objective.module(network), batch, np.random.default_rng(0))
    clips = normalize(batch.clips, network.spec)
    alone = [network.score_boxes(clips[int(box[0])][None], [box[None, 1:]]) for box in batch.boxes]
    logits = torch.cat(alone)
    assert float(lesson.loss.detach()) == pytest.approx(
        float(F.binary_cross_entropy_with_logits(logits, batch.targets).detach()), abs=1e-5
    )
    best = logits.argmax(1)
    right = [float(batch.targets[row, best[row]]) for row in range(3)]
    assert lesson.hits == pytest.approx(right[0] + (right[1] + right[2]) / 2)
    assert objective.num_counted(batch) == 3


def test_a_batch_without_boxes_has_a_loss_of_zero_and_finite_gradients(network):
    objective = BoxObjective(network)
    batch = batch_of([], [])
    lesson = objective.learn(objective.module(network), batch, np.random.default_rng(0))
    assert (objective.num_counted(batch), float(lesson.loss.detach()), lesson.hits) == (0, 0.0, 0.0)
    lesson.loss.backward()
    assert all(p.grad is not None and not p.grad.any() for p in network.parameters())
