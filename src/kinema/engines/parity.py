"""Compare the scores of an engine with those of torch in float32."""

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
"""Clips that are scored together; the first one is scored alone too."""


def largest_difference(scorer: ClipScorer, network: Network, card: ModelCard) -> float:
    """Largest difference of a score from torch in float32, on clips of noise, both in a batch and alone.

    Args:
        scorer: computes the network with another engine.
        network: the network itself, on the CPU, in evaluation mode.
        card: gives the task, and says whether scores are sigmoids.
    """
    exact = Scorer(network, task=card.task, device="cpu", precision="f32", batch_size=NUM_PROBES)
    clips = probe_clips(scorer.spec, NUM_PROBES)
    expected = to_scores(exact(clips), card.multi_label)
    found = [to_scores(scorer(part), card.multi_label) for part in (clips, clips[:1])]
    return float(max(np.abs(rows - expected[: len(rows)]).max() for rows in found))


def probe_clips(spec: InputSpec, count: int) -> UInt8[Tensor, "b c t h w"]:
    """Clips of coarse and fine noise, the same at every call."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, spec.num_channels, spec.clip_len, 4, 4, generator=generator)
    fine = torch.rand(count, *spec.shape, generator=generator)
    blobs = nn.functional.interpolate(coarse, (spec.clip_len, *spec.size))
    return ((0.7 * blobs + 0.3 * fine) * 255).round().to(torch.uint8)
