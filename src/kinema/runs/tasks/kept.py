"""Task `clip` for `--keep-features`: the frozen encoder processes each video once, and epochs read its kept outputs.

The whole network is saved as always, so every command takes it. Its card says task `clip`.
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
    """Labels of a clip, learned from kept outputs of the frozen part."""

    def check(self, network: Network, config: TrainConfig) -> None:
        """Make sure that the network has a frozen part whose outputs can be kept, and that the folder is writable.

        Raises:
            ConfigError: more than the head is trained, clips are blended, or the network cannot be split.
            OutputError: the folder is not writable.
        """
        from kinema.training.feature_objective import check_kept

        check_folder(str(config.keep_features))
        check_kept(network, config)

    def training_inputs(
        self, parts: Parts, config: TrainConfig, network: Network, card: ModelCard, progress: Progress
    ) -> TrainingInputs:
        """Kept features of both parts; missing ones are computed."""
        from kinema.datasets.features import collate_features
        from kinema.engines.scorer import Scorer
        from kinema.evaluation.protocols import Protocol
        from kinema.runs.features import score_features
        from kinema.training.feature_objective import FeatureObjective
        from kinema.training.losses import loss_for

        training, validation = open_features(config, parts, network, progress)
        protocol = Protocol(config.valid_clips, 1, False).name

        def validate(network: Network) -> dict[str, float]:
            scored = score_features(Scorer(network, precision=config.precision, batch_size=64), validation)
            evaluation = judge_scores(scored, validation.data, card, protocol)
            return {**evaluation.figures, "loss": evaluation.loss}

        return TrainingInputs(
            data=training,
            options=replace(config, workers=config.workers or 0),  # reading a small file is faster than sending it
            collate=collate_features,
            objective=FeatureObjective(network, loss_for(training.data, config)),
            validate=validate,
        )


def open_features(
    config: LearningConfig, parts: Parts, network: Network, progress: Progress
) -> tuple[FeatureDataset, FeatureDataset]:
    """Kept features of both parts; missing ones are computed first.

    Raises:
        OutputError: they cannot be written.
    """
    from kinema.datasets.clips import ClipDataset, Views
    from kinema.datasets.feature_cache import FeatureCache
    from kinema.datasets.features import DrawnViews, FeatureDataset
    from kinema.engines.scorer import Scorer
    from kinema.models.device import channels_last, resolve_precision
    from kinema.models.frozen_split import frozen_fingerprint
    from kinema.runs.features import keep_features, missing_jobs
    from kinema.training.loop import join_processes

    device = join_processes()
    precision = resolve_precision(config.precision, device)
    channels_last(network)
    cache = FeatureCache(str(config.keep_features), f"{frozen_fingerprint(network)} {precision}")
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
