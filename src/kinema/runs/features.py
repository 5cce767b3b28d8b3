"""Fill the feature cache: the frozen part of a network computes each wanted view once.

Decoding runs in the loader's workers ahead of the network; each view is written as soon as it is there, so a run that is
killed has lost one batch, and one that goes on gets the same features to the bit. Where several processes run, they
share the views.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch.utils.data import DataLoader

from kinema.datasets.clips import Broken
from kinema.datasets.feature_cache import write_features
from kinema.datasets.features import FeatureDataset, Job, JobDataset, collate_features
from kinema.machine import worker_count
from kinema.models.frozen_split import BackHalf, front
from kinema.processes import gather, place_among_processes
from kinema.runs.score import Scored

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.engines.scorer import Scorer
    from kinema.runs.progress import Advance


def missing_jobs(data: FeatureDataset) -> list[Job]:
    """Views whose features are not kept yet, those of this process."""
    rank, world = place_among_processes()
    return [job for job in data.jobs()[rank::world] if data.is_missing(job)]


def keep_features(
    scorer: Scorer,
    data: FeatureDataset,
    jobs: Sequence[Job],
    workers: int | None = None,
    advance: Advance = lambda count: None,
) -> None:
    """Compute and keep the features of some views; what cannot be read comes into `data.broken`.

    Every process of a run calls this, also one without jobs: it ends when all of them are done.

    Args:
        scorer: holds the network, which is left as it is.
        data: whose cache is filled.
        jobs: what is missing.
        workers: processes that decode; None is one for each core but one, at most 8.
        advance: called with the number of views done since the last call.
    """
    workers = min(worker_count(workers), len(jobs))
    loader: DataLoader[Any] = DataLoader(
        JobDataset(data, jobs), batch_size=scorer.batch_size, collate_fn=list, num_workers=workers,
        prefetch_factor=2 if workers else None, pin_memory=False,
    )  # fmt: skip
    with scorer:
        for found in loader if jobs else ():
            read = []
            for job, item in found:
                if isinstance(item, Broken):
                    data.broken[job[1]] = item.reason
                else:
                    read.append((job, item.clips))
            _encode(scorer, data, read)
            advance(len(found))
    for broken in gather(data.broken):
        data.broken.update(broken)


def _encode(scorer: Scorer, data: FeatureDataset, found: list[tuple[Job, torch.Tensor]]) -> None:
    if not found:
        return
    pixels = torch.cat([clips for _, clips in found])
    rows = scorer.apply(lambda clips: front(scorer.network, clips), pixels, whole=True)
    for job, clips in found:
        write_features(data.place(job), rows[: len(clips)])
        rows = rows[len(clips) :]


def score_features(scorer: Scorer, data: FeatureDataset) -> Scored:
    """Score every example of a data set from its kept features; every process does all of it, it is soon done.

    Args:
        scorer: holds the network, which is left as it is.
        data: the examples, their cache filled.
    """
    logits: dict[int, list[NDArray[np.float32]]] = {}
    broken: dict[int, str] = {}
    loader: DataLoader[Any] = DataLoader(cast(Any, data), batch_size=scorer.batch_size, collate_fn=collate_features)
    with scorer:
        back = BackHalf(scorer.network)
        for batch in loader:
            broken.update({item.index: item.reason for item in batch.broken})
            if len(batch):
                rows = scorer.run(back, batch.features, batch.lengths)
                for index, row in zip(batch.indices.tolist(), rows, strict=True):
                    logits.setdefault(index, []).append(row)
    return Scored({index: np.stack(rows) for index, rows in logits.items()}, broken)
