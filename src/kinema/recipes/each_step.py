"""`--each-step`: learning and judging the label of every frame, from rows with a start and an end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kinema.errors import ConfigError

if TYPE_CHECKING:
    from kinema.datasets.dataset import DataSet
    from kinema.evaluation.step_result import StepEvaluation
    from kinema.models.checkpoint import ModelCard
    from kinema.models.network import Network
    from kinema.recipes.evaluate import ScoringOptions
    from kinema.recipes.train import TrainConfig

USUAL_FPS = 8.0
"""Frames a second that a network sees which otherwise spreads its frames: 16 of them are two seconds."""


def prepare(data: DataSet, config: TrainConfig) -> tuple[DataSet, TrainConfig]:
    """The data with a class for times without a label, and the settings with what each step needs.

    Raises:
        ConfigError: a setting that has no meaning for steps.
        DataError: the data has no timed labels, or two at one time.
    """
    from kinema.datasets.timed import with_background

    if config.keep_features:
        raise ConfigError("--keep-features keeps whole clips", "--each-step", "leave one of them out")
    if config.sampling == "spread":
        raise ConfigError("--sampling spread skips most frames of a film", "--each-step", "leave it out")
    if config.monitor == "video_hit_at_1":
        config = replace(config, monitor="frame_accuracy")
    elif config.monitor == "clip_hit_at_1":
        raise ConfigError("--monitor clip_hit_at_1 is about clips", "--each-step", "take frame_accuracy")
    return with_background(data, config.background), _dense(config)


def _dense(config: TrainConfig) -> TrainConfig:
    """Clips of neighbouring frames, at a rate of their own where the network spreads its frames and none is given."""
    from kinema.models import VARIANTS

    if config.init:
        return config  # a checkpoint keeps its own input
    variant = VARIANTS.get(config.model)
    spreads = variant is not None and variant.input.sampling == "spread"
    if spreads and config.fps is None and config.frame_stride is None:
        config = replace(config, fps=USUAL_FPS)
    return replace(config, sampling="dense")


def step_material(
    config: TrainConfig, parts: tuple[DataSet, DataSet], network: Network, card: ModelCard
) -> dict[str, Any]:
    """What a run learns from and is validated by, as arguments of `Run`."""
    from kinema.datasets.step_clips import StepClips
    from kinema.datasets.timed import seconds_of_classes, timed_labels
    from kinema.training.losses import balanced_weights
    from kinema.training.step_objective import StepObjective

    labels = timed_labels(parts[0], config.background)
    clips = StepClips(labels=labels, **config.varied_arguments(parts[0], network.spec))
    weights = None
    if config.balance == "loss":
        seconds = seconds_of_classes(labels, len(card.labels))
        weights = balanced_weights([round(1000 * length) for length in seconds])

    def validate(network: Network) -> dict[str, float]:
        evaluation = evaluate_each_step(network, card, parts[1], config.scoring_options(), progress=False)
        return {**evaluation.figures, "loss": evaluation.loss}

    return {
        "data": clips,
        "options": config,
        "objective": StepObjective(network, config, weights),
        "validate": validate,
    }


def evaluate_each_step(
    network: Network, card: ModelCard, data: DataSet, options: ScoringOptions, progress: bool = True
) -> StepEvaluation:
    """Judge a network at each step of each video, over its whole length.

    Args:
        network: learned with --each-step.
        card: names its classes, and the one of times without a label.
        data: rows with spans; its classes are those of the card.
        options: crops, batch size, device; each step is seen in one clip.
        progress: show a bar on standard error.

    Raises:
        ConfigError: views that steps do not have.
        DataError: no timed labels, or not one video can be read.
    """
    from kinema.datasets.splits import units_of
    from kinema.datasets.timed import timed_labels
    from kinema.evaluation import Failed
    from kinema.evaluation.step_result import evaluate_steps
    from kinema.evaluation.steps import StepScores
    from kinema.inference.step_scoring import score_steps
    from kinema.recipes.evaluate import progress_bar

    if options.clips > 1 or options.flips:
        raise ConfigError("each step is seen in one clip", "--clips or --flips", "leave them out")
    labels = timed_labels(data, background_of(card))
    with progress_bar("evaluating", len(labels), shown=progress) as advance:
        scored = score_steps(
            network, card, labels, num_crops=options.crops, advance=advance,
            device=options.device, precision=options.precision, batch_size=options.batch_size,
        )  # fmt: skip
    groups = {example.path: name for name, tied in units_of(data.examples).items() for example in tied}
    videos = [StepScores(path, *scored.steps[path], groups[path]) for path in labels if path in scored.steps]
    failures = [Failed(path, scored.broken[path]) for path in labels if path in scored.broken]
    name = background_of(card)
    background = card.labels.index(name) if name in card.labels else None
    return evaluate_steps(videos, data.labels, background=background, failures=failures)


def background_of(card: ModelCard) -> str:
    """What a trained network calls times without a label; empty where it was not told to have an opinion on them."""
    from kinema.datasets.timed import BACKGROUND

    return str(card.training.get("background", BACKGROUND))
