"""Which actions happen in a video, and when: one interface for three ways.

- "clips": a classifier scores dense windows, and its scores over time become segments (`kinema.localization.grouping`).
- "two-stage" and "one-stage": a network that was trained to locate actions (`kinema.models.located`) sees the features of the
  whole video.

Times are those of the video's own time stamps. Memory is constant for videos of any length, besides the scores themselves.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from kinema.datasets.temporal_labels import BACKGROUND
from kinema.errors import CheckpointError, UsageError
from kinema.inference.kept_features import KeptFeatures, kept_features, network_identity
from kinema.inference.options import FeatureOptions, LocalizeOptions, PredictOptions
from kinema.labels import Labels
from kinema.localization.grouping import GroupingOptions, group_segments
from kinema.localizations import Localization
from kinema.predictions import Failure, Prediction, Segment
from kinema.types import TimeSpan

if TYPE_CHECKING:
    from kinema.choices import Way
    from kinema.engines.options import EngineOptions
    from kinema.inference.features import VideoFeatures
    from kinema.models.located.network import SegmentNetwork
    from kinema.models.network import Network
    from kinema.types import InputSpec
    from kinema.weights.checkpoint import ModelCard

WAYS: Mapping[str, Way] = {"segments_two_stage": "two-stage", "segments_one_stage": "one-stage"}
"""The way of each network for located actions, by its name; all others go by clips."""

LEAST_SCORE = 0.3
"""Segments of a network for located actions with a lower score are left out, unless a threshold is given."""

_STEPS = 8
_SHORTEST_STEP_S, _LONGEST_STEP_S, _USUAL_FPS = 0.1, 0.5, 25.0


class Model(Protocol):
    """What a localizer needs of a `Predictor`."""

    card: ModelCard
    spec: InputSpec

    @property
    def network(self) -> Network:
        """The network in torch."""

    @property
    def options(self) -> EngineOptions:
        """Its engine and precision."""

    def predict_many(
        self, sources: Sequence[str], options: PredictOptions | None = None
    ) -> Iterator[Prediction | Failure]:
        """Scores over time of videos."""

    def extract(
        self, sources: Sequence[str], options: FeatureOptions | None = None
    ) -> Iterator[VideoFeatures | Failure]:
        """Features of videos."""


class Localizer:
    """Locates actions in videos.

    Args:
        model: a `Predictor`.
        name: of the model, in results; empty is the network's name.

    Raises:
        UsageError: the network's task is another one.
    """

    def __init__(self, model: Model, name: str = "") -> None:
        task = model.card.task
        if task not in ("clip", "frame", "segments"):
            what = "located actions need labels of clips, frames or segments"
            raise UsageError(what, f"{model.card.variant}, task {task}", "take a network of another task")
        self.model, self.name = model, name or model.card.variant
        self.labels = Labels(tuple(model.card.labels))

    @property
    def way(self) -> Way:
        """How this network locates actions."""
        return WAYS.get(self.model.card.variant, "clips")

    def localize_many(
        self, sources: Sequence[str | os.PathLike[str]], options: LocalizeOptions
    ) -> Iterator[Localization | Failure]:
        """Locate actions in videos, in their order; a video that cannot be read gives a `Failure` and does not stop the others.

        Args:
            sources: paths of files or folders of images.
            options: see `LocalizeOptions`.

        Raises:
            UsageError: an option has no meaning for this network.
            UnknownClass: a class of the background is none of the network's.
            CheckpointError: scores are not finite, or kept features are of another network.
        """
        for label in options.background or ():
            self.labels.index(label)
        paths = [os.fspath(source) for source in sources]
        if self.way == "clips":
            return self._by_clips(paths, options)
        return self._by_network(cast("SegmentNetwork", self.model.network), paths, options)

    def timelines(self, sources: Sequence[str], options: LocalizeOptions) -> Iterator[Prediction | Failure]:
        """The dense scores that way "clips" makes segments of.

        Raises:
            UsageError: the network locates actions itself.
        """
        if self.way != "clips":
            what = "this network locates actions itself, so it has no settings for grouping scores"
            raise UsageError(what, self.model.card.variant, "change --threshold in place of that")
        if options.feature_cache is not None:
            do = "leave out --feature-cache, which is for networks of task segments"
            raise UsageError("a classifier's scores are not kept", self.model.card.variant, do)
        step_s = options.step_s if options.step_s is not None else dense_step(self.model.spec)
        return self.model.predict_many(sources, replace(options.predict, step_s=step_s))

    def _by_clips(self, paths: Sequence[str], options: LocalizeOptions) -> Iterator[Localization | Failure]:
        grouping = grouping_of(self.model.card, options)
        outcomes = self.timelines(paths, options)

        def located() -> Iterator[Localization | Failure]:
            for outcome in outcomes:
                if isinstance(outcome, Failure):
                    yield outcome
                elif outcome.timeline is not None:
                    segments = group_segments(outcome.timeline, grouping, refine=True)
                    yield Localization(replace(outcome, segments=segments), self.name, self.way)

        return located()

    def _by_network(
        self, network: SegmentNetwork, paths: Sequence[str], options: LocalizeOptions
    ) -> Iterator[Localization | Failure]:
        options.check_located(self.model.card.variant)
        features = FeatureOptions(step_s=network.step_s, image_fps=options.image_fps)
        identity = f"{network_identity(network.encoder)}, step {network.step_s:g} s, {self.model.options.precision}"
        kept = kept_features(
            lambda missing: self.model.extract(missing, features), paths, identity, network.feature_dim,
            options.feature_cache,
        )  # fmt: skip

        def located() -> Iterator[Localization | Failure]:
            for video in kept:
                yield video if isinstance(video, Failure) else self._locate(network, video, options)

        return located()

    def _locate(self, network: SegmentNetwork, video: KeptFeatures, options: LocalizeOptions) -> Localization:
        found = network.locate(video.rows, video.spans_s)
        if not (np.isfinite(found.scores).all() and np.isfinite(found.times_s).all()):
            do = "the network has diverged: train it again with a lower learning rate"
            raise CheckpointError("the network's scores are not numbers", video.path, do)
        labels, least = self.labels.names, LEAST_SCORE if options.threshold is None else options.threshold
        segments = [
            Segment(TimeSpan(float(start_s), float(end_s)), labels[kind], float(score))
            for (start_s, end_s), kind, score in zip(found.times_s, found.classes, found.scores, strict=True)
            if score >= least and end_s - start_s >= (options.min_segment_s or 0)
            and labels[kind] not in (options.background or ())
        ]  # fmt: skip
        scores = np.zeros(len(labels), np.float32)
        np.maximum.at(scores, found.classes, found.scores.astype(np.float32))
        prediction = Prediction(
            path=video.path, labels=labels, scores=scores, span=TimeSpan(0.0, float(video.spans_s[:, 1].max())),
            segments=tuple(sorted(segments, key=lambda one: (one.span, -one.score, one.label))), damage=video.damage,
        )  # fmt: skip
        return Localization(prediction, self.name, self.way)


def dense_step(spec: InputSpec) -> float:
    """Seconds between predictions: an eighth of the time that a clip shows, from 0.1 to 0.5 s.

    >>> dense_step(InputSpec(clip_len=16, frame_stride=2, fps=25.0)), dense_step(InputSpec(sampling="spread", window_s=8.0))
    (0.155, 0.5)
    """
    length_s = (spec.window_s or 0.0) if spec.sampling == "spread" else spec.span / (spec.fps or _USUAL_FPS)
    return float(np.clip(length_s / _STEPS, _SHORTEST_STEP_S, _LONGEST_STEP_S))


def grouping_of(card: ModelCard, options: LocalizeOptions) -> GroupingOptions:
    """The checkpoint's settings for making segments, or usual ones, with the given options in place of theirs.

    Without settings of its own, a network of several labels has segments where a score is at least 0.5, any other one those of
    the best label at each time; its class for times without an action, if it has one, gives none.
    """
    usual = str(card.training.get("background", BACKGROUND))
    background = (usual,) if usual in card.labels else ()
    grouping = card.grouping
    if grouping is None and card.multi_label:
        grouping = GroupingOptions(method="hysteresis", scores="sigmoid", background=background)
    elif grouping is None:
        grouping = GroupingOptions(background=background)
    if options.threshold is not None:
        grouping = with_threshold(grouping, options.threshold)
    if options.background is not None:
        grouping = replace(grouping, background=options.background)
    if options.smoothing_s is not None:
        grouping = replace(grouping, smoothing_s=options.smoothing_s)
    if options.min_segment_s is not None:
        grouping = replace(grouping, shortest_s=options.min_segment_s)
    return grouping if options.max_gap_s is None else replace(grouping, largest_gap_s=options.max_gap_s)


def with_threshold(grouping: GroupingOptions, threshold: float) -> GroupingOptions:
    """The settings with another least score; the score at which a segment ends keeps its share of it."""
    if grouping.exclusive:
        return replace(grouping, least_score=threshold)
    share = grouping.leave / grouping.enter if grouping.enter > 0 else 1.0
    return replace(grouping, enter=threshold, leave=threshold * min(share, 1.0), by_class={})
