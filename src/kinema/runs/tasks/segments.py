"""Actions with start and end, learned on kept features of an encoder, and judged by mean average precision."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from kinema.errors import ConfigError, DataError, check_broken
from kinema.runs.task import Parts, Task, TrainingInputs

if TYPE_CHECKING:
    from kinema.datasets.dataset import DataSet
    from kinema.datasets.located import LocatedSet, LocatedVideo
    from kinema.engines.scorer import ClipScorer
    from kinema.evaluation.located.result import LocatedActions, LocatedEvaluation
    from kinema.inference.kept_features import KeptFeatures
    from kinema.labels import Labels
    from kinema.models.located.network import SegmentNetwork
    from kinema.models.network import Network
    from kinema.predictions import Failure
    from kinema.runs.config import TrainConfig
    from kinema.runs.options import ScoringOptions
    from kinema.runs.progress import Progress
    from kinema.weights.checkpoint import ModelCard

log = logging.getLogger("kinema")

LEAST_STEPS = 25
"""Optimiser steps of an epoch at least: data sets have few long videos, which are drawn from several times."""

_FEWEST_FEATURES, _DEFAULT_MONITOR = 2, "video_hit_at_1"
_WITHOUT_MEANING: Mapping[str, object] = {
    "keep_features": None, "mixup": 0.0, "cutmix": 0.0, "balance": "none", "backbone": None, "pretrained": False,
    "backbone_weights": None, "backbone_args": (), "mirror_labels": [], "reverse_labels": [],
}  # fmt: skip
"""Settings, and the values that leave them out, which are about clips or about a new encoder."""


class SegmentsTask(Task):
    """Actions located in time."""

    card_task = "segments"
    uses_clip_scores = False

    def headline(self, figures: Mapping[str, float]) -> str:
        """Mean average precision at a tIoU of 0.5, and its mean over 0.5 to 0.95."""
        return f"mAP@0.5 {figures['map_at_0.5']:.3f}, average mAP {figures['average_map']:.3f}"

    def prepare(self, data: DataSet, config: TrainConfig) -> tuple[DataSet, TrainConfig]:
        """Choose what is trained and monitored.

        Raises:
            ConfigError: a setting has no meaning for this task, or there is no encoder.
            DataError: a part has no action, or a video is in two parts.
        """
        from kinema.datasets.located import located_set

        _check_settings(config)
        data = without_background(data, config.background)
        for part in ("train", "valid"):
            if not any(located_set(data.part(part)).counts().values()):
                raise DataError(
                    f"no action in the {part} part", data.root, "check its labels and times, or divide it again"
                )
        monitor = "average_map" if config.monitor == _DEFAULT_MONITOR else config.monitor
        return replace(data, multi_label=True), replace(config, transfer="head", monitor=monitor)

    def class_counts(self, data: DataSet, config: TrainConfig) -> list[float]:
        """None: mean average precision has no baseline that names the most frequent class."""
        return []

    def known_classes(self, card: ModelCard) -> Labels:
        """The classes of the network, and the one whose rows are no actions."""
        from kinema.labels import Labels

        background = background_of(card)
        return Labels((*card.labels, *([background] if background and background not in card.labels else [])))

    def build(self, config: TrainConfig, num_outputs: int, progress: Progress) -> Network:
        """A new network on the encoder of `--encoder`, whose weights and input it keeps."""
        from kinema.models import VARIANTS, build
        from kinema.runs.options import parse_arguments
        from kinema.weights.named import open_network
        from kinema.weights.open import load_trained, names_published, with_input

        name = str(config.encoder)
        if names_published(name):
            with progress.download(name) as downloaded:
                encoder, _ = load_trained(name, downloaded)
        else:
            encoder, card = open_network(name)
            if name in VARIANTS:
                log.warning("--encoder %s: a network without trained weights; give a run, or published weights", name)
            if card.task == "segments":
                raise ConfigError(
                    "an encoder that locates actions itself", name, "give the network that it was trained on"
                )
        if changes := config.spec_changes():
            encoder = with_input(encoder, changes)
        from kinema.inference.localizer import dense_step

        network = build(
            config.model, num_classes=num_outputs, spec=encoder.spec.to_json(),
            encoder={"variant": encoder.variant, "arguments": dict(encoder.arguments)},
            **{"step_s": config.feature_step or dense_step(encoder.spec), **parse_arguments(config.model_args)},
        )  # fmt: skip
        segments = cast("SegmentNetwork", network)
        own = {key: value for key, value in encoder.state_dict().items() if not key.startswith("classifier.")}
        segments.encoder.load_state_dict(own)
        return segments

    def training_inputs(
        self, parts: Parts, config: TrainConfig, network: Network, card: ModelCard, progress: Progress
    ) -> TrainingInputs:
        """Sequences of kept features; missing ones are computed. Validation reads them too."""
        from kinema.datasets.located import located_set
        from kinema.datasets.located_windows import LocatedWindows, collate_located
        from kinema.predictions import Failure
        from kinema.runs.located_features import feature_folder, located_sequence
        from kinema.training.loop import join_processes
        from kinema.training.segment_objective import SegmentObjective
        from kinema.types import Example

        segments = cast("SegmentNetwork", network)
        segments.encoder.spec = segments.spec  # the run sets the length of windows of networks that spread their frames
        folder = feature_folder(config.feature_cache, parts.training, make=True)
        options = replace(config.scoring_options(), device=str(join_processes()), feature_cache=folder)
        training, validation = located_set(parts.training), located_set(parts.validation)
        found = list(features_of(segments, training, options, progress, "features for training"))
        broken = {one.path: str(one.error) for one in found if isinstance(one, Failure)}
        check_broken(broken, len(found), config.max_broken, "training videos")
        sequences = [
            str(one.error) if isinstance(one, Failure) else located_sequence(video, one, training.labels)
            for video, one in zip(training.videos, found, strict=True)
        ]
        _warn_of_short(training, segments.step_s)
        videos = parts.training.with_examples(Example(v.path, (), group=v.group) for v in training.videos)
        windows = LocatedWindows(videos, sequences, segments.window, LEAST_STEPS * config.batch_size, config.seed)
        kept = list(features_of(segments, validation, options, progress, "features for validation"))

        def validate(network: Network) -> dict[str, float]:
            evaluation = judge_features(cast("SegmentNetwork", network), validation, kept)
            return {**evaluation.figures, "loss": evaluation.loss}

        return TrainingInputs(
            data=windows,
            options=replace(config, workers=config.workers or 0),  # reading a piece of a file is faster than sending it
            objective=SegmentObjective(segments),
            collate=collate_located,
            validate=validate,
        )

    def judge(
        self,
        network: Network | ClipScorer,
        card: ModelCard,
        data: DataSet,
        options: ScoringOptions,
        progress: Progress,
    ) -> LocatedEvaluation:
        """Locate the actions of whole videos and compare them with the true ones.

        Raises:
            ConfigError: several clips, crops or flips, or another engine than torch.
            DataError: there is no true action, or not one video can be read.
        """
        from kinema.datasets.located import located_set
        from kinema.engines.scorer import ClipScorer
        from kinema.runs.located_features import feature_folder

        if isinstance(network, ClipScorer):
            do = "evaluate the checkpoint itself, with --engine torch"
            raise ConfigError("networks that locate actions are judged in torch only", card.variant, do)
        if options.clips > 1 or options.crops > 1 or options.flips:
            raise ConfigError("each time is seen in one clip", "--clips, --crops or --flips", "leave them out")
        located = located_set(without_background(data, background_of(card)))
        segments = cast("SegmentNetwork", network)
        options = replace(options, feature_cache=feature_folder(options.feature_cache, data, make=False))
        return judge_features(segments, located, features_of(segments, located, options, progress, "evaluating"))


def _check_settings(config: TrainConfig) -> None:
    """Make sure that the settings have a meaning for this task, and that there is one encoder."""
    from kinema.models.registry import SEGMENT_VARIANTS

    if config.model not in SEGMENT_VARIANTS:
        do = f"take --model {' or '.join(SEGMENT_VARIANTS)} with --encoder {config.model}"
        raise ConfigError(f"{config.model} does not locate actions", "--task segments", do)
    if bool(config.encoder) == bool(config.init):
        what = "a network that locates actions needs a network whose features it sees"
        do = "give --encoder, a run of `kinema train` or the name of published weights"
        raise ConfigError(what if not config.init else "--init has an encoder already", "--task segments", do)
    for name, value in _WITHOUT_MEANING.items():
        if getattr(config, name) != value:
            raise ConfigError(f"--{name.replace('_', '-')} has no meaning", "--task segments", "leave it out")
    if config.transfer not in ("all", "head"):
        raise ConfigError("the encoder is not trained", f"--transfer {config.transfer}", "leave it out")
    if config.monitor not in (_DEFAULT_MONITOR, "average_map", "map_at_0.5", "loss"):
        raise ConfigError(f"--monitor {config.monitor} is about labels", "--task segments", "take average_map")


def without_background(data: DataSet, background: str) -> DataSet:
    """The data without the rows of a class that is no action; videos that have no other row stay.

    Raises:
        DataError: there is no other class.
    """
    from kinema.labels import Labels

    if background not in tuple(data.labels):
        return data
    if len(data.labels) == 1:
        raise DataError(f"no class besides {background!r}", data.root, "give times of actions with their classes")
    actions = [
        replace(example, labels=tuple(label for label in example.labels if label != background))
        for example in data.examples if example.labels != (background,)
    ]  # fmt: skip
    known = {example.path for example in actions}
    bare = {e.path: replace(e, labels=(), span=None) for e in data.examples if e.path not in known}
    labels = Labels(tuple(label for label in data.labels if label != background))
    return replace(data, examples=(*actions, *bare.values()), labels=labels)


def background_of(card: ModelCard) -> str:
    """The class of a trained network's data whose rows are no actions; empty if there is none."""
    return str(card.training.get("background", ""))


def features_of(
    network: SegmentNetwork, located: LocatedSet, options: ScoringOptions, progress: Progress, title: str
) -> Iterator[KeptFeatures | Failure]:
    """Features of each video, with a progress bar."""
    from kinema.runs.located_features import located_features

    paths = [video.path for video in located.videos]
    with progress.count(title, len(paths)) as advance:
        yield from located_features(
            network, paths, options.feature_cache, precision=options.precision, device=options.device,
            batch_size=options.batch_size, image_fps=located.image_fps, advance=advance,
        )  # fmt: skip


def judge_features(
    network: SegmentNetwork, located: LocatedSet, features: Iterable[KeptFeatures | Failure]
) -> LocatedEvaluation:
    """Locate the actions of videos from their features, and compare them with the true ones."""
    from kinema.evaluation import Failed
    from kinema.evaluation.located.result import evaluate_located
    from kinema.predictions import Failure

    videos, failures = [], []
    for video, kept in zip(located.videos, features, strict=True):
        if isinstance(kept, Failure):
            failures.append(Failed(kept.path, str(kept.error)))
        else:
            videos.append(locate(network, video, kept, located.labels))
    return evaluate_located(videos, located.labels, failures)


def locate(network: SegmentNetwork, video: LocatedVideo, kept: KeptFeatures, labels: Labels) -> LocatedActions:
    """The true actions of a video, and all that the network finds in it."""
    from kinema.evaluation.located.result import LocatedActions
    from kinema.predictions import Segment
    from kinema.types import TimeSpan

    was_training = network.training
    found = network.eval().locate(kept.rows, kept.spans_s)
    network.train(was_training)
    segments = tuple(
        Segment(TimeSpan(float(start_s), float(end_s)), labels[int(number)], float(score))
        for (start_s, end_s), number, score in zip(found.times_s, found.classes, found.scores, strict=True)
    )
    return LocatedActions(video.path, video.segments, segments, video.group)


def _warn_of_short(located: LocatedSet, step_s: float) -> None:
    """Warn of actions that are too short for the distance of the features."""
    lengths_s = [segment.span.duration_s for video in located.videos for segment in video.segments]
    short = sum(length_s < _FEWEST_FEATURES * step_s for length_s in lengths_s)
    if short:
        what = f"{short} of {len(lengths_s)} actions are shorter than {_FEWEST_FEATURES} features"
        log.warning(
            "%s: %s, %g s apart, and are hardly learned: give a smaller --feature-step", located.root, what, step_s
        )


TASK = SegmentsTask()
