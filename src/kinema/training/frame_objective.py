"""Training on a label for every frame of a clip ("many to many")."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.clips.transforms import normalize
from kinema.errors import ConfigError
from kinema.labels import IGNORED
from kinema.models.device import autocast
from kinema.models.network import FramewiseNetwork, Network
from kinema.training.objective import Lesson

if TYPE_CHECKING:
    import numpy as np

    from kinema.datasets.clips import Batch
    from kinema.training.options import FitOptions


class Framewise(nn.Module):
    """A network whose output is the logits at each frame."""

    def __init__(self, network: FramewiseNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, clips: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b t classes"]:
        """Logits at each frame."""
        return self.network.frame_logits(clips)


class FrameObjective:
    """One class a frame; frames with the target `IGNORED` do not count.

    Args:
        network: its input says how clips are normalised.
        options: label smoothing.
        class_weights: [classes], mean 1; weights of errors in each class.
    """

    def __init__(self, network: Network, options: FitOptions, class_weights: Tensor | None = None) -> None:
        self.network, self.options, self.class_weights = network, options, class_weights
        self.device, self.precision = torch.device("cpu"), "f32"

    def module(self, network: Network) -> nn.Module:
        """The network with logits at each frame."""
        return Framewise(cast(FramewiseNetwork, network))

    def to(self, device: torch.device, precision: str) -> None:
        """See `Objective`."""
        self.device, self.precision = device, precision
        self.class_weights = None if self.class_weights is None else self.class_weights.to(device)

    def num_counted(self, batch: Batch) -> int:
        """The number of frames with a label."""
        return int((batch.targets != IGNORED).sum())

    def learn(self, module: nn.Module, batch: Batch, rng: np.random.Generator) -> Lesson:
        """The mean loss of all frames with a label; the hits of a clip are the share of its frames that are right."""
        clips = normalize(batch.clips.to(self.device, non_blocking=True), self.network.spec)
        targets = batch.targets.to(self.device)
        with autocast(self.device, self.precision):
            logits = module(clips)
        known = targets != IGNORED
        right = (logits.detach().argmax(dim=2) == targets) & known
        hits = right.sum(dim=1) / known.sum(dim=1).clamp(min=1)
        losses = F.cross_entropy(
            logits.float().flatten(0, 1), targets.flatten(), self.class_weights,
            ignore_index=IGNORED, label_smoothing=self.options.label_smoothing, reduction="sum",
        )  # fmt: skip
        return Lesson(losses / known.sum().clamp(min=1), float(hits.sum()))

    def nothing(self, module: nn.Module) -> Tensor:
        """Zero times the logits of two empty clips."""
        return module(torch.zeros((2, *self.network.spec.shape), device=self.device)).sum() * 0.0


def check_framewise(network: Network, options: FitOptions) -> None:
    """Make sure that a network can be trained on a label for each frame with these options.

    Raises:
        ConfigError: it has no scores at each frame, or an option blends or samples whole clips.
    """
    if not isinstance(network, FramewiseNetwork):
        do = "take one that can, such as cnn_gru_small or conv_gru_small"
        raise ConfigError("this network has no answer at each frame", network.variant, do)
    if options.mixup or options.cutmix:
        raise ConfigError("--mixup and --cutmix blend clips with one label", "--task frame", "leave them out")
    if options.balance == "sampler":
        raise ConfigError("--balance sampler chooses clips by their one label", "--task frame", "take --balance loss")
