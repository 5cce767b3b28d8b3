"""Logits of every example of a data set, decoded in worker processes ahead of the network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import DataLoader, Subset

from kinema.datasets.cache import FrameCache
from kinema.datasets.clips import ClipDataset, Views, collate
from kinema.datasets.flow_cache import open_flow_cache
from kinema.engines.scorer import ClipScorer, Scorer
from kinema.machine import worker_count
from kinema.processes import gather, place_among_processes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.datasets.clips import Batch
    from kinema.datasets.dataset import DataSet
    from kinema.models.network import Network
    from kinema.runs.options import ScoringOptions
    from kinema.runs.progress import Advance


@dataclass
class Scored:
    """Logits [views classes] by example index, and the reason for each example that could not be read."""

    logits: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    broken: dict[int, str] = field(default_factory=dict)


def score_data(
    network: Network | ClipScorer, data: DataSet, options: ScoringOptions, advance: Advance = lambda count: None
) -> Scored:
    """Score every example of a data set. Several processes share the examples, and each gets the whole result.

    Args:
        network: its device and mode are left as they are; or a scorer, with its own device, precision and batch size.
        data: the examples.
        options: views of each example, device, precision, caches.
        advance: called with the number of examples done since the last call.
    """
    clips = ClipDataset(
        data, network.spec, augment=None, views=Views(options.clips, options.crops, options.flips),
        cache=FrameCache(options.cache) if options.cache else None,
        flow_cache=open_flow_cache(options.flow_cache, data, network.spec),
    )  # fmt: skip
    rank, world = place_among_processes()
    own = range(rank, len(data.examples), world)
    workers = min(worker_count(options.workers), len(own))
    batches: Iterable[Batch] = DataLoader(
        Subset(clips, own), batch_size=max(1, options.batch_size // len(clips.views)), collate_fn=collate,
        num_workers=workers, prefetch_factor=4 if workers else None, pin_memory=torch.cuda.is_available(),
    )  # fmt: skip
    if not isinstance(network, ClipScorer):
        network = Scorer(network, device=options.device, precision=options.precision, batch_size=options.batch_size)
    found, whole = _score(network, batches, advance), Scored()
    for part in gather(found):
        whole.logits.update(part.logits)
        whole.broken.update(part.broken)
    return whole


def _score(scorer: ClipScorer, batches: Iterable[Batch], advance: Advance) -> Scored:
    """Score batches of views; the views of an example may be in several batches."""
    found = Scored()
    views: dict[int, list[NDArray[np.float32]]] = {}
    with scorer:
        for batch in batches:
            found.broken.update({item.index: item.reason for item in batch.broken})
            if len(batch.indices):
                for index, logits in zip(batch.indices.tolist(), scorer(batch.clips), strict=True):
                    views.setdefault(index, []).append(logits)
            advance(len(set(batch.indices.tolist())) + len(batch.broken))
    found.logits = {index: np.stack(rows) for index, rows in views.items()}
    return found
