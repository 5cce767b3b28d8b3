"""Optimisers and learning-rate schedules: parameter groups, warm-up, cosine (Loshchilov & Hutter 2017) and plateau."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from kinema.models.network import Network
from kinema.training.options import FitOptions


def parameter_groups(network: Network, options: FitOptions) -> list[dict[str, object]]:
    """Trained parameters in up to four groups: classifier or backbone, each with and without weight decay.

    The `factor` of a group multiplies the scheduled learning rate.
    """
    in_head = {id(parameter) for parameter in network.classifier.parameters()}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in network.parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > 1  # biases and norms are vectors
            groups.setdefault((id(parameter) in in_head, decays), []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": options.weight_decay if decays else 0.0,
            "factor": 1.0 if head else options.backbone_lr,
        }
        for (head, decays), parameters in groups.items()
    ]


def build_optimizer(network: Network, options: FitOptions) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, or AdamW, over the trained parameters; fused, with one pass over them a step."""
    groups = parameter_groups(network, options)
    if options.optimizer == "sgd":
        momentum = options.momentum
        return torch.optim.SGD(groups, options.learning_rate, momentum, nesterov=momentum > 0, fused=True)
    return torch.optim.AdamW(groups, lr=options.learning_rate, fused=True)


@dataclass
class Schedule:
    """The learning rate as a function of the number of steps, times the cuts of the plateau rule.

    Only `cut`, `best` and `stalled` are state; the plateau rule uses them.
    """

    options: FitOptions
    steps_per_epoch: int
    cut: float = 1.0
    best: float = -math.inf
    stalled: int = 0

    PLATEAU_EPOCHS = 3
    PLATEAU_CUT = 0.2

    def rate(self, step: int) -> float:
        """Learning rate of step number `step`, counted from 0."""
        warmup = self.options.warmup_epochs * self.steps_per_epoch
        total = self.options.epochs * self.steps_per_epoch
        rate = self.options.learning_rate * self.cut
        if step < warmup:
            return rate * (step + 1) / (warmup + 1)
        if self.options.schedule != "cosine":
            return rate
        done = (step - warmup) / max(total - warmup, 1)
        return rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    def apply(self, optimizer: torch.optim.Optimizer, step: int) -> float:
        """Set the learning rate of every group; returns the scheduled rate."""
        rate = self.rate(step)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        return rate

    def end_epoch(self, value: float) -> None:
        """Take in the figure of an epoch (higher is better). Schedule `plateau` cuts the rate after three epochs without gain."""
        if value > self.best:
            self.best, self.stalled = value, 0
            return
        self.stalled += 1
        if self.options.schedule == "plateau" and self.stalled >= self.PLATEAU_EPOCHS:
            self.cut, self.stalled = self.cut * self.PLATEAU_CUT, 0

    def state(self) -> dict[str, float]:
        """The values to save in the state of a run."""
        return {"cut": self.cut, "best": self.best, "stalled": self.stalled}

    def restore(self, state: dict[str, float]) -> None:
        """The inverse of `state`."""
        self.cut, self.best, self.stalled = state["cut"], state["best"], int(state["stalled"])


def gradient_norm(parameters: Iterable[nn.Parameter], largest: float) -> float:
    """Scale the gradients down to the norm `largest` if it is exceeded (0: only measure). Returns the norm before."""
    norm = torch.nn.utils.clip_grad_norm_(list(parameters), largest or math.inf)
    return float(norm)
