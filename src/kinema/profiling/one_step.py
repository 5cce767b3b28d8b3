"""One training step on the same clips of noise each time: what the training loop computes for a batch, without the loop."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from kinema.datasets.clips import Batch
from kinema.models.device import channels_last, resolve_device, resolve_precision
from kinema.models.network import Network
from kinema.profiling.report import SpeedRequest
from kinema.timing import median_s, times_s
from kinema.training.losses import ClipLoss
from kinema.training.objective import ClipObjective
from kinema.training.optim import build_optimizer, gradient_norm
from kinema.training.options import FitOptions
from kinema.weights.named import open_network


def train_clips_per_s(request: SpeedRequest) -> float:
    """Clips per second of training steps, in torch, the only engine that trains."""
    options = FitOptions(batch_size=request.batch_size, precision=request.precision)
    step = training_step(open_network(request.model)[0], options, request.device)
    return request.batch_size / median_s(times_s(step, request.seconds))


def training_step(network: Network, options: FitOptions, device: str = "auto") -> Callable[[], float]:
    """Prepare a network for training on its device, and return a function that takes a step and returns the loss.

    Args:
        network: all of its parameters learn.
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
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    generator, count, rng = torch.Generator().manual_seed(0), options.batch_size, np.random.default_rng(0)
    clips = torch.randint(0, 256, (count, *network.spec.shape), dtype=torch.uint8, generator=generator)
    targets = torch.randint(0, network.num_classes, (count,), generator=generator)
    batch = Batch(clips, targets, torch.arange(count))

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
