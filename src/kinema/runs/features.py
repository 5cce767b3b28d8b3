"""Fill the feature cache: the frozen part of a network computes each view once.

Worker processes decode ahead of the network. Each view is written at once, so a killed run loses one batch at most, and a
resumed run gets the same features to the bit. Several processes share the views.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.data import DataLoader

from kinema.datasets.clips import Broken
from kinema.datasets.feature_cache import write_features
from kinema.datasets.features import FeatureDataset, Job, JobDataset, collate_features
from kinema.machine import worker_count
from kinema.models.frozen_split import TrainableHead, frozen_features
from kinema.processes import gather, place_among_processes
from kinema.runs.score import Scored

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.datasets.clips import Sample
    from kinema.datasets.features import FeatureBatch
    from kinema.engines.scorer import Scorer
    from kinema.runs.progress import Advance


def missing_jobs(data: FeatureDataset) -> list[Job]:
    """This process's share of the views whose features are not kept yet."""
    rank, world = place_among_processes()
    return [job for job in data.jobs()[rank::world] if data.is_missing(job)]


def keep_features(
    scorer: Scorer,
    data: FeatureDataset,
    jobs: Sequence[Job],
    workers: int | None = None,
    advance: Advance = lambda count: None,
) -> None:
    """Compute and keep the features of some views; unreadable examples are added to `data.broken`.

    Every process of a run calls this, even without jobs: it returns when all of them are done.

    Args:
        scorer: holds the network, which is left as it is.
        data: whose cache is filled.
        jobs: views to compute.
        workers: processes that decode; None is one for each core but one, at most 8.
        advance: called with the number of views done since the last call.
    """
    workers = min(worker_count(workers), len(jobs))
    loader: Iterable[list[tuple[Job, Sample | Broken]]] = DataLoader(
        JobDataset(data, jobs), batch_size=scorer.batch_size, collate_fn=list, num_workers=workers,
        prefetch_factor=2 if workers else None, pin_memory=False,
    )  # fmt: skip
    with scorer:
        for found in loader if jobs else ():
            data.broken.update({job[1]: item.reason for job, item in found if isinstance(item, Broken)})
            views = [(job, item.clips) for job, item in found if not isinstance(item, Broken)]
            if views:
                pixels = torch.cat([clips for _, clips in views])
                rows = scorer.apply(lambda clips: frozen_features(scorer.scoring_network, clips), pixels, whole=True)
                for job, clips in views:
                    write_features(data.place(job), rows[: len(clips)])
                    rows = rows[len(clips) :]
            advance(len(found))
    for broken in gather(data.broken):
        data.broken.update(broken)


def score_features(scorer: Scorer, data: FeatureDataset) -> Scored:
    """Score every example of a data set from its kept features. Every process scores all of them, which takes little time.

    Args:
        scorer: holds the network, which is left as it is.
        data: the examples, with a filled cache.
    """
    logits: dict[int, list[NDArray[np.float32]]] = {}
    broken: dict[int, str] = {}
    loader: Iterable[FeatureBatch] = DataLoader(data, batch_size=scorer.batch_size, collate_fn=collate_features)
    with scorer:
        head = TrainableHead(scorer.network)
        for batch in loader:
            broken.update({item.index: item.reason for item in batch.broken})
            if len(batch):
                rows = scorer.run(head, batch.features, batch.lengths)
                for index, row in zip(batch.indices.tolist(), rows, strict=True):
                    logits.setdefault(index, []).append(row)
    return Scored({index: np.stack(rows) for index, rows in logits.items()}, broken)
