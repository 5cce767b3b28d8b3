"""Parameter groups, learning rates and the norm of the gradient."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kinema import models
from kinema.training.optim import Schedule, build_optimizer, gradient_norm
from kinema.training.options import FitOptions


def tiny() -> models.Network:
    return models.build("slow_fusion_tiny", num_classes=3, spec={"size": (32, 32), "clip_len": 8})


def test_warmup_rises_and_cosine_falls_to_zero():
    schedule = Schedule(FitOptions(epochs=10, warmup_epochs=2, lr=1.0), steps_per_epoch=5)
    rates = [schedule.rate(step) for step in range(51)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[10] == pytest.approx(1.0)
    assert rates[30] == pytest.approx(0.5)
    assert rates[50] == pytest.approx(0.0, abs=1e-12)


def test_plateau_cuts_after_three_epochs_without_gain():
    schedule = Schedule(FitOptions(schedule="plateau", warmup_epochs=0, lr=1.0), steps_per_epoch=1)
    for value in (0.5, 0.4, 0.4):
        schedule.end_epoch(value)
    assert schedule.rate(9) == pytest.approx(1.0)
    schedule.end_epoch(0.5)
    assert schedule.rate(9) == pytest.approx(0.2)
    restored = Schedule(schedule.options, 1)
    restored.restore(schedule.state())
    assert restored.rate(9) == schedule.rate(9)


def test_biases_and_norms_do_not_decay_and_the_backbone_learns_slower():
    network = tiny()
    optimizer = build_optimizer(network, FitOptions(weight_decay=0.1, backbone_lr=0.5, lr=1.0))
    Schedule(FitOptions(lr=1.0, warmup_epochs=0), 1).apply(optimizer, 0)
    for group in optimizer.param_groups:
        assert all((p.ndim > 1) == (group["weight_decay"] > 0) for p in group["params"])
    head = {id(p) for p in network.classifier.parameters()}
    rates = {(id(p) in head): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert rates == {True: 1.0, False: 0.5}
    assert sum(len(g["params"]) for g in optimizer.param_groups) == len(list(network.parameters()))


def test_gradients_are_scaled_to_the_norm_asked_for():
    weight = nn.Parameter(torch.tensor([3.0, 4.0]))
    weight.grad = torch.tensor([3.0, 4.0])
    assert gradient_norm([weight], 1.0) == pytest.approx(5.0)
    assert weight.grad.norm() == pytest.approx(1.0, rel=1e-4)
