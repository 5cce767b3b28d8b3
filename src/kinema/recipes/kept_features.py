"""`--keep-features`: with a frozen encoder each video goes through it once, and epochs read what came out.

What is trained and saved is the whole network as always, so every command takes it; only the way to it is shorter.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kinema.datasets.dataset import DataSet
    from kinema.datasets.features import FeatureDataset
    from kinema.models.checkpoint import ModelCard
    from kinema.models.network import Network
    from kinema.recipes.learning import LearningConfig
    from kinema.training.loop import Validate

log = logging.getLogger("kinema")


def feature_material(
    config: LearningConfig, parts: tuple[DataSet, DataSet], network: Network, card: ModelCard
) -> dict[str, Any]:
    """What a run learns from and is validated by, as arguments of `Run`; computes the features that are missing."""
    from kinema.datasets.features import collate_features
    from kinema.training.feature_objective import FeatureObjective
    from kinema.training.losses import loss_for

    learning, validation = open_features(config, parts, network)
    return {
        "data": learning,
        "options": replace(config, workers=config.workers or 0),  # a small file is read sooner than sent by a worker
        "collate": collate_features,
        "objective": FeatureObjective(network, loss_for(learning.data, config)),
        "validate": _validator(config, validation, card),
    }


def open_features(
    config: LearningConfig, parts: tuple[DataSet, DataSet], network: Network
) -> tuple[FeatureDataset, FeatureDataset]:
    """Kept features of both parts, computed where they are missing.

    Raises:
        OutputError: they cannot be written.
    """
    from kinema.datasets.clips import ClipDataset, Views
    from kinema.datasets.feature_cache import FeatureCache
    from kinema.datasets.features import DrawnViews, FeatureDataset
    from kinema.models.device import channels_last, resolve_precision
    from kinema.models.halves import front_fingerprint
    from kinema.training.loop import join_processes

    device = join_processes()
    precision = resolve_precision(config.precision, device)
    channels_last(network)
    cache = FeatureCache(str(config.keep_features), f"{front_fingerprint(network)} {precision}")
    learning, judged = (config.clip_arguments(part, network.spec) for part in parts)
    drawn = None
    if config.feature_views > 1:
        drawn = DrawnViews(**config.varied_arguments(parts[0], network.spec))
    kept = (
        FeatureDataset(ClipDataset(**learning), cache, drawn=drawn, num_views=config.feature_views),
        FeatureDataset(ClipDataset(**judged, views=Views(config.valid_clips)), cache),
    )
    for part, name in zip(kept, ("training", "validation"), strict=True):
        _fill(part, network, config, name, {"device": str(device), "precision": precision})
    return kept


def _fill(part: FeatureDataset, network: Network, config: LearningConfig, name: str, options: dict[str, str]) -> None:
    from kinema.inference.encoding import keep_features, missing_jobs
    from kinema.recipes.evaluate import progress_bar

    jobs = missing_jobs(part)
    started = time.monotonic()
    with progress_bar(f"features for {name}", len(jobs), shown=bool(jobs)) as advance:
        keep_features(
            network, part, jobs, workers=config.workers, advance=advance, batch_size=config.batch_size, **options
        )
    if jobs:
        seconds = time.monotonic() - started
        log.info("%s: features of %d %s views in %.1f s", part.cache.folder, len(jobs), name, seconds)


def _validator(config: LearningConfig, validation: FeatureDataset, card: ModelCard) -> Validate:
    """A function that judges a network by the kept features of the validation part."""
    from kinema.evaluation.protocols import Protocol
    from kinema.inference.encoding import score_features
    from kinema.recipes.evaluate import judge

    protocol = Protocol(config.valid_clips, 1, False).name

    def validate(network: Network) -> dict[str, float]:
        scored = score_features(network, validation, precision=config.precision)
        evaluation = judge(scored, validation.data, card, protocol)
        return {**evaluation.figures, "loss": evaluation.loss}

    return validate
