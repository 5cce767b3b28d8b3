"""Filling the feature cache: the frozen half of a network looks at every wanted view once.

Decoding runs in the loader's workers ahead of the network; each view is written as soon as it is there, so a run that is
killed has lost one batch, and one that goes on gets the same features to the bit. Where several processes run, they
share the views.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import distributed
from torch.utils.data import DataLoader

from kinema.datasets.clips import Broken
from kinema.datasets.feature_cache import write_features
from kinema.datasets.features import FeatureDataset, Job, JobDataset, collate_features
from kinema.inference.scoring import Scored, Scorer
from kinema.machine import worker_count
from kinema.models.halves import BackHalf, front

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from kinema.models.network import Network


def missing_jobs(data: FeatureDataset) -> list[Job]:
    """Views whose features are not kept yet, those of this process."""
    rank, world = _place_among_processes()
    return [job for job in data.jobs()[rank::world] if data.is_missing(job)]


def keep_features(
    network: Network,
    data: FeatureDataset,
    jobs: Sequence[Job],
    *,
    workers: int | None = None,
    advance: Callable[[int], None] = lambda count: None,
    **options: Any,
) -> None:
    """Compute and keep the features of some views; what cannot be read comes into `data.broken`.

    Every process of a run calls this, also one without jobs: it ends when all of them are done.

    Args:
        network: stays where it is and as it is.
        data: whose cache is filled.
        jobs: what is missing.
        workers: processes that decode; None is one for each core but one, at most 8.
        advance: called with the number of views done since the last call.
        options: device, precision and batch_size, as for `Scorer`.
    """
    with Scorer(network, **options) as scorer:
        for found in _batches(data, jobs, workers, scorer.batch_size):
            for (_, index), item in found:
                if isinstance(item, Broken):
                    data.broken[index] = item.reason
            _encode(scorer, data, [(job, item.clips) for job, item in found if not isinstance(item, Broken)])
            advance(len(found))
    _share_broken(data)


def _batches(
    data: FeatureDataset, jobs: Sequence[Job], workers: int | None, batch_size: int
) -> Iterator[list[tuple[Job, Any]]]:
    workers = min(worker_count(workers), len(jobs))
    loader: DataLoader[Any] = DataLoader(
        JobDataset(data, jobs), batch_size=batch_size, collate_fn=list, num_workers=workers,
        prefetch_factor=2 if workers else None, pin_memory=False,
    )  # fmt: skip
    yield from loader if jobs else ()


def _encode(scorer: Scorer, data: FeatureDataset, found: list[tuple[Job, torch.Tensor]]) -> None:
    if not found:
        return
    pixels = torch.cat([clips for _, clips in found])
    rows = scorer.apply(lambda clips: front(scorer.network, clips), pixels, whole=True)
    for job, clips in found:
        write_features(data.place(job), rows[: len(clips)])
        rows = rows[len(clips) :]


def score_features(network: Network, data: FeatureDataset, *, batch_size: int = 64, **options: Any) -> Scored:
    """Score every example of a data set from its kept features; every process does all of it, it is soon done.

    Args:
        network: stays where it is and as it is.
        data: the examples, their cache filled.
        batch_size: examples at once.
        options: device and precision, as for `Scorer`.
    """
    logits: dict[int, list[NDArray[np.float32]]] = {}
    broken: dict[int, str] = {}
    loader: DataLoader[Any] = DataLoader(cast(Any, data), batch_size=batch_size, collate_fn=collate_features)
    with Scorer(network, batch_size=batch_size, **options) as scorer:
        back = BackHalf(network)
        for batch in loader:
            broken.update({item.index: item.reason for item in batch.broken})
            if len(batch):
                rows = scorer.run(back, batch.features, batch.lengths)
                for index, row in zip(batch.indices.tolist(), rows, strict=True):
                    logits.setdefault(index, []).append(row)
    return Scored({index: np.stack(rows) for index, rows in logits.items()}, broken)


def _place_among_processes() -> tuple[int, int]:
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def _share_broken(data: FeatureDataset) -> None:
    _, world = _place_among_processes()
    if world > 1:
        parts: list[Any] = [None] * world
        distributed.all_gather_object(parts, data.broken)
        for part in parts:
            data.broken.update(part)
