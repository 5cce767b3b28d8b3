"""The loss of located actions: its normaliser, and batches without actions or rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kinema.datasets.located_windows import LocatedBatch, LocatedSample, collate_located
from kinema.models import VARIANTS, build
from kinema.models.located.network import SegmentNetwork
from kinema.training.segment_objective import SegmentObjective

RNG = np.random.default_rng(0)


@pytest.fixture(params=["segments_one_stage", "segments_two_stage"])
def network(request) -> SegmentNetwork:
    torch.manual_seed(0)
    made = build(
        request.param, num_classes=3, spec=VARIANTS["slow_fusion_tiny"].input.to_json(),
        encoder={"variant": "slow_fusion_tiny", "arguments": {}}, width=16, levels=3, stem=1, heads=2, attention=5,
    )  # fmt: skip
    made.encoder.requires_grad_(False)
    assert isinstance(made, SegmentNetwork)
    return made.eval()


def sample(
    network: SegmentNetwork, *actions: tuple[float, float, int], seed: int = 0, count: int = 24
) -> LocatedSample:
    features = torch.randn(count, network.feature_dim, generator=torch.Generator().manual_seed(seed))
    times = torch.tensor([action[:2] for action in actions]).reshape(-1, 2)
    return LocatedSample(features, times, torch.tensor([kind for *_, kind in actions], dtype=torch.int64), seed)


def learn(network: SegmentNetwork, batch: LocatedBatch) -> torch.Tensor:
    objective = SegmentObjective(network)
    objective.to(torch.device("cpu"), "f32")
    return objective.learn(objective.module(network), batch, RNG).loss


def test_parts_of_a_batch_give_the_loss_of_the_batch(network: SegmentNetwork):
    first, second = sample(network, (3.0, 8.0, 0), (5.0, 20.0, 2)), sample(network, seed=1, count=16)
    objective = SegmentObjective(network)
    parts = [collate_located([one]) for one in (first, second)]
    whole = collate_located([first, second])
    counts = [objective.num_counted(part) for part in parts]
    assert counts == [7, 1]
    assert objective.num_counted(whole) == 8
    joint = sum(count * learn(network, part) for count, part in zip(counts, parts, strict=True)) / 8
    torch.testing.assert_close(learn(network, whole), joint, rtol=1e-4, atol=1e-4)


def test_training_on_videos_without_an_action_stays_finite(network: SegmentNetwork):
    network.train()
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2)
    losses = []
    for step in range(8):
        loss = learn(network, collate_located([sample(network, seed=step), sample(network, seed=step + 100)]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    assert all(parameter.isfinite().all() for parameter in trained)


def test_a_process_without_rows_has_a_gradient_of_zero_for_every_parameter(network: SegmentNetwork):
    objective = SegmentObjective(network)
    objective.nothing(objective.module(network)).backward()
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert not parameter.grad.any(), name
