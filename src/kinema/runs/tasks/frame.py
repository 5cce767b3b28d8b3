"""A label for every frame, learned from rows with a start and an end, and judged over whole videos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from kinema.errors import ConfigError
from kinema.runs.progress import SILENT
from kinema.runs.task import Parts, Task, TrainingInputs, training_counts

if TYPE_CHECKING:
    from kinema.datasets.dataset import DataSet
    from kinema.engines.scorer import ClipScorer
    from kinema.evaluation.framewise_result import FramewiseEvaluation
    from kinema.models.network import Network
    from kinema.runs.config import TrainConfig
    from kinema.runs.options import ScoringOptions
    from kinema.runs.progress import Progress
    from kinema.weights.checkpoint import ModelCard

USUAL_FPS = 8.0
"""Default frame rate for networks that otherwise spread their frames over the video: 16 frames are two seconds."""


class FrameTask(Task):
    """A label of each frame."""

    card_task = "frame"
    uses_clip_scores = False

    def headline(self, figures: Mapping[str, float]) -> str:
        """Frame accuracy and macro-F1 over frames."""
        return f"frame accuracy {figures['frame_accuracy']:.1%}, macro F1 {figures['macro_f1']:.3f}"

    def prepare(self, data: DataSet, config: TrainConfig) -> tuple[DataSet, TrainConfig]:
        """Add a class for times without a label, and take clips of neighbouring frames at a fixed rate.

        Raises:
            ConfigError: a setting that has no meaning for frames.
            DataError: the data has no temporal labels, or two at one time.
        """
        from kinema.datasets.temporal_labels import with_background
        from kinema.models import VARIANTS

        if config.keep_features:
            raise ConfigError("--keep-features keeps whole clips", "--task frame", "leave one of them out")
        if config.sampling == "spread":
            raise ConfigError("--sampling spread skips most frames of a video", "--task frame", "leave it out")
        if config.monitor == "clip_hit_at_1":
            raise ConfigError("--monitor clip_hit_at_1 is about clips", "--task frame", "take frame_accuracy")
        if config.monitor == "video_hit_at_1":
            config = replace(config, monitor="frame_accuracy")
        data = with_background(data, config.background)
        if config.init:
            return data, config  # a checkpoint keeps its own input
        variant = VARIANTS.get(config.model)
        spreads = variant is not None and variant.input.sampling == "spread"
        if spreads and config.fps is None and config.frame_stride is None:
            config = replace(config, fps=USUAL_FPS)
        return data, replace(config, sampling="dense")

    def class_counts(self, data: DataSet, config: TrainConfig) -> list[float]:
        """Seconds of each class."""
        from kinema.datasets.temporal_labels import seconds_of_classes, temporal_labels

        return seconds_of_classes(temporal_labels(data, config.background), len(data.labels))

    def check(self, network: Network, config: TrainConfig) -> None:
        """Make sure that the network scores each frame.

        Raises:
            ConfigError: it does not, or an option blends or samples whole clips.
        """
        from kinema.training.frame_objective import check_framewise

        check_framewise(network, config)

    def training_inputs(
        self, parts: Parts, config: TrainConfig, network: Network, card: ModelCard, progress: Progress
    ) -> TrainingInputs:
        """Clips from anywhere in a video with a target for each frame, validated by `judge`."""
        from kinema.datasets.framewise_clips import FramewiseClips
        from kinema.datasets.temporal_labels import seconds_of_classes, temporal_labels
        from kinema.training.frame_objective import FrameObjective
        from kinema.training.losses import balanced_weights

        labels = temporal_labels(parts.training, config.background)
        arguments = config.clip_arguments(parts.training, network.spec, training=True)
        weights = None
        if config.balance == "loss":
            seconds = seconds_of_classes(labels, len(card.labels))
            weights = balanced_weights([round(1000 * length) for length in seconds])

        def validate(network: Network) -> dict[str, float]:
            evaluation = self.judge(network, card, parts.validation, config.scoring_options(), SILENT)
            return {**evaluation.figures, "loss": evaluation.loss}

        return TrainingInputs(
            data=FramewiseClips(parts.training, network.spec, labels, **arguments),
            options=config,
            objective=FrameObjective(network, config, weights),
            validate=validate,
        )

    def judge(
        self,
        network: Network | ClipScorer,
        card: ModelCard,
        data: DataSet,
        options: ScoringOptions,
        progress: Progress,
    ) -> FramewiseEvaluation:
        """Judge a network at each frame of whole videos.

        Args:
            network: a torch network trained with task `frame`.
            card: names its classes and the class of times without a label.
            data: rows with start and end; its classes are those of the card.
            options: crops, batch size, device; each frame is scored in one clip.
            progress: counts the videos that are done.

        Raises:
            ConfigError: several clips or flips, or another engine than torch.
            DataError: no temporal labels, or not one video can be read.
        """
        from kinema.datasets.splits import units_of
        from kinema.datasets.temporal_labels import temporal_labels
        from kinema.engines.scorer import ClipScorer
        from kinema.evaluation import Failed
        from kinema.evaluation.framewise import FrameScores
        from kinema.evaluation.framewise_result import evaluate_frames
        from kinema.runs.score_framewise import score_frames

        if isinstance(network, ClipScorer):
            do = "evaluate the checkpoint itself, with --engine torch"
            raise ConfigError("networks that score each frame are judged in torch only", card.variant, do)
        if options.clips > 1 or options.flips:
            raise ConfigError("each frame is scored in one clip", "--clips or --flips", "leave them out")
        name = background_of(card)
        labels = temporal_labels(data, name)
        with progress.count("evaluating", len(labels)) as advance:
            scored = score_frames(network, card, labels, options, advance)
        groups = {example.path: name for name, tied in units_of(data.examples).items() for example in tied}
        videos = [FrameScores(path, *scored.frames[path], groups[path]) for path in labels if path in scored.frames]
        failures = [Failed(path, scored.broken[path]) for path in labels if path in scored.broken]
        background = card.labels.index(name) if name in card.labels else None
        return evaluate_frames(
            videos, data.labels, background=background, failures=failures, class_counts=training_counts(card)
        )


def background_of(card: ModelCard) -> str:
    """The class of a trained network for times without a label; empty if it was trained without such times."""
    from kinema.datasets.temporal_labels import BACKGROUND

    return str(card.training.get("background", BACKGROUND))


TASK = FrameTask()
