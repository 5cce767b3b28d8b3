"""One step of training on always the same clips of noise: what the loop computes for a batch, without the loop around it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from kinema.datasets.clips import Batch
from kinema.models.device import channels_last, resolve_device, resolve_precision
from kinema.models.network import Network
from kinema.training.losses import ClipLoss
from kinema.training.objective import ClipObjective
from kinema.training.optim import build_optimizer, gradient_norm
from kinema.training.options import FitOptions


def training_step(network: Network, options: FitOptions, device: str = "auto") -> Callable[[], float]:
    """Move a network to its device, ready to learn, and give what takes a step and returns the loss.

    Args:
        network: all of it learns.
        options: batch size, optimiser, precision.
        device: see `resolve_device`.
    """
    place = resolve_device(device)
    precision = resolve_precision(options.precision, place)
    network.to(place).train()
    channels_last(network)
    optimizer = build_optimizer(network, options)
    objective = ClipObjective(network, options, ClipLoss(network.num_classes, smoothing=options.label_smoothing))
    objective.to(place, precision)
    if options.compile:
        network.compile()
    scaler = torch.amp.GradScaler(place.type, enabled=precision == "fp16")
    batch, rng = _noise(network, options.batch_size), np.random.default_rng(0)
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = objective.learn(network, batch, rng).loss
        torch.autograd.backward(scaler.scale(loss))
        scaler.unscale_(optimizer)
        gradient_norm(learning, options.clip_grad)
        scaler.step(optimizer)
        scaler.update()
        return float(loss.detach())

    return step


def _noise(network: Network, count: int) -> Batch:
    generator = torch.Generator().manual_seed(0)
    clips = torch.randint(0, 256, (count, *network.spec.shape), dtype=torch.uint8, generator=generator)
    targets = torch.randint(0, network.num_classes, (count,), generator=generator)
    return Batch(clips, targets, torch.arange(count))
