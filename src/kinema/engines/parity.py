"""Whether another way of computing a network gives the scores that torch gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from kinema.engines.scorer import ClipScorer, Scorer, to_scores

if TYPE_CHECKING:
    from kinema.models.network import Network
    from kinema.types import InputSpec
    from kinema.weights.checkpoint import ModelCard


NUM_PROBES = 3
"""Clips that are scored together; one more alone."""


def largest_difference(scorer: ClipScorer, network: Network, card: ModelCard) -> float:
    """The largest difference of a score from torch's in float32, on clips of noise, several together and one alone.

    Args:
        scorer: computes the network in another way.
        network: the network itself, on the CPU, in evaluation mode.
        card: says whether it is asked at each frame, and whether scores are sigmoids.
    """
    exact = Scorer(network, task=card.task, device="cpu", precision="f32", batch_size=NUM_PROBES)
    clips = probe_clips(scorer.spec, NUM_PROBES)

    def scores(which: ClipScorer, clips: Tensor) -> np.ndarray:
        return to_scores(which(clips), card.multi_label)

    expected = scores(exact, clips)
    found = scores(scorer, clips), scores(scorer, clips[:1])
    return float(max(np.abs(rows - expected[: len(rows)]).max() for rows in found))


def probe_clips(spec: InputSpec, count: int) -> UInt8[Tensor, "b c t h w"]:
    """Always the same clips of noise, coarse and fine."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, spec.num_channels, spec.clip_len, 4, 4, generator=generator)
    fine = torch.rand(count, *spec.shape, generator=generator)
    blobs = nn.functional.interpolate(coarse, (spec.clip_len, *spec.size))
    return ((0.7 * blobs + 0.3 * fine) * 255).round().to(torch.uint8)
