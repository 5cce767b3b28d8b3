"""`--keep-features`: with a frozen encoder each video goes through it once, and epochs read what came out.

What is trained and saved is the whole network as always, so every command takes it, and its card says task `clip`.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from kinema.files import check_folder
from kinema.runs.task import Parts, TrainingInputs
from kinema.runs.tasks.clip import ClipTask, judge_scores

if TYPE_CHECKING:
    from kinema.datasets.clips import ClipArguments
    from kinema.datasets.features import FeatureDataset
    from kinema.models.network import Network
    from kinema.runs.config import LearningConfig, TrainConfig
    from kinema.runs.progress import Progress
    from kinema.weights.checkpoint import ModelCard

log = logging.getLogger("kinema")


class KeptFeaturesTask(ClipTask):
    """A label a clip, learned from the kept outputs of the frozen part."""

    def check(self, network: Network, config: TrainConfig) -> None:
        """The network must have a frozen part whose outputs can be kept, and the folder must be writable.

        Raises:
            ConfigError: more than the head learns, clips are to be blended, or the network cannot be split.
            OutputError: nothing may be written into the folder.
        """
        from kinema.training.feature_objective import check_kept

        check_folder(str(config.keep_features))
        check_kept(network, config)

    def training_inputs(
        self, parts: Parts, config: TrainConfig, network: Network, card: ModelCard, progress: Progress
    ) -> TrainingInputs:
        """Kept features of both parts; computes those that are missing."""
        from kinema.datasets.features import collate_features
        from kinema.engines.scorer import Scorer
        from kinema.evaluation.protocols import Protocol
        from kinema.runs.features import score_features
        from kinema.training.feature_objective import FeatureObjective
        from kinema.training.losses import loss_for

        learning, validation = open_features(config, parts, network, progress)
        protocol = Protocol(config.valid_clips, 1, False).name

        def validate(network: Network) -> dict[str, float]:
            scored = score_features(Scorer(network, precision=config.precision, batch_size=64), validation)
            evaluation = judge_scores(scored, validation.data, card, protocol)
            return {**evaluation.figures, "loss": evaluation.loss}

        return TrainingInputs(
            data=learning,
            options=replace(config, workers=config.workers or 0),  # reading a small file is faster than sending it
            collate=collate_features,
            objective=FeatureObjective(network, loss_for(learning.data, config)),
            validate=validate,
        )


def open_features(
    config: LearningConfig, parts: Parts, network: Network, progress: Progress
) -> tuple[FeatureDataset, FeatureDataset]:
    """Kept features of both parts, computed where they are missing.

    Raises:
        OutputError: they cannot be written.
    """
    from kinema.datasets.clips import ClipDataset, Views
    from kinema.datasets.feature_cache import FeatureCache
    from kinema.datasets.features import DrawnViews, FeatureDataset
    from kinema.engines.scorer import Scorer
    from kinema.models.device import channels_last, resolve_precision
    from kinema.models.frozen_split import front_fingerprint
    from kinema.runs.features import keep_features, missing_jobs
    from kinema.training.loop import join_processes

    device = join_processes()
    precision = resolve_precision(config.precision, device)
    channels_last(network)
    cache = FeatureCache(str(config.keep_features), f"{front_fingerprint(network)} {precision}")
    training, validation, spec = parts.training, parts.validation, network.spec
    drawn = None
    if config.feature_views > 1:
        drawn = DrawnViews(training, spec, **config.clip_arguments(training, spec, training=True))
    plain = ClipDataset(training, spec, **config.clip_arguments(training, spec, training=False))
    views: ClipArguments = {
        **config.clip_arguments(validation, spec, training=False),
        "views": Views(config.valid_clips),
    }
    kept = {
        "training": FeatureDataset(plain, cache, drawn=drawn, num_views=config.feature_views),
        "validation": FeatureDataset(ClipDataset(validation, spec, **views), cache),
    }
    for name, part in kept.items():
        jobs, started = missing_jobs(part), time.monotonic()
        with progress.count(f"features for {name}", len(jobs)) as advance:
            scorer = Scorer(network, device=str(device), precision=precision, batch_size=config.batch_size)
            keep_features(scorer, part, jobs, config.workers, advance)
        if jobs:
            seconds = time.monotonic() - started
            log.info("%s: features of %d %s views in %.1f s", part.cache.folder, len(jobs), name, seconds)
    return kept["training"], kept["validation"]


TASK = KeptFeaturesTask()
