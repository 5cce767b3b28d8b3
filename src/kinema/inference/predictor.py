"""`Predictor`: a trained network that predicts what happens in files of any length, and when.

    model = kinema.load("runs/slow_fusion-1/best")
    prediction = model("match.mp4", rolling=5)

Decoding and cropping run in threads ahead of the network; clips of several videos share a batch.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, Unpack, cast, overload

import numpy as np
import torch

from kinema.clips.flow import check_flow
from kinema.engines.choose import open_scorer
from kinema.engines.exported import is_exported, open_exported
from kinema.engines.options import EngineOptions, EngineOverrides, LoadOverrides
from kinema.engines.scorer import ClipScorer, Scorer, check_numbers, to_scores
from kinema.errors import UsageError
from kinema.inference.batching import Batcher, SharedFrames, WholeClips
from kinema.inference.collectors import Timelines, run_videos
from kinema.inference.features import VideoFeatures, extract_many
from kinema.inference.localizer import Localizer
from kinema.inference.options import (
    FeatureOptions,
    FeatureOverrides,
    LocalizeOptions,
    LocalizeOverrides,
    PredictOptions,
    PredictOverrides,
)
from kinema.inference.reader import ClipReader, VideoStart
from kinema.localization.segments import SegmentOptions, merge_segments
from kinema.localization.smoothing import rolling_average
from kinema.localizations import Localization
from kinema.machine import num_cores
from kinema.models.device import channels_last
from kinema.predictions import Failure, Prediction, Timeline
from kinema.types import TimeSpan
from kinema.weights.open import load_trained
from kinema.weights.published import DEFAULT

__all__ = ["Failure", "PredictOptions", "Predictor", "load"]

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from kinema.choices import FilePrecision
    from kinema.models.network import Network
    from kinema.weights.checkpoint import ModelCard
    from kinema.weights.download import Progress

Paths: TypeAlias = "list[str] | list[Path] | list[str | os.PathLike[str]] | tuple[str | os.PathLike[str], ...]"
"""Several videos."""


class Predictor:
    """A network with its labels, ready for files.

    Args:
        network: is moved to the device. Or a scorer, such as an exported file, which has its own device, precision and
            batch size.
        card: labels and task of the network.
        options: engine, device, precision and batch size.
        overrides: fields of `options` to change: engine, device, precision, batch_size.

    Raises:
        UsageError: there is no such device, precision or engine.
        MissingExtra: the network needs optical flow, and OpenCV is not installed.
        CheckpointError: the card's task is `frame`, and the network has no logits at each frame.
    """

    def __init__(
        self,
        network: Network | ClipScorer,
        card: ModelCard,
        options: EngineOptions | None = None,
        **overrides: Unpack[EngineOverrides],
    ) -> None:
        check_flow(network.spec)
        self.card, self.labels, self.spec = card, tuple(card.labels), network.spec
        if isinstance(network, ClipScorer):
            self.scorer = network
        else:
            self.scorer = open_scorer(network.eval(), card, _engine_of(card, EngineOptions.of(options, **overrides)))
            channels_last(network.to(self.scorer.device))
        self.plan = self.scorer.frame_plan() if card.task == "frame" else None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        name, count = self.card.variant, len(self.labels)
        return f"<Predictor {name}: {count} classes, {self.scorer.device}, {self.scorer.precision}>"

    @property
    def network(self) -> Network:
        """The network in torch, in evaluation mode.

        Raises:
            UsageError: there is only an exported file.
        """
        return self.scorer.in_torch().network

    @property
    def options(self) -> EngineOptions:
        """The engine, device, precision and batch size in use."""
        scorer = self.scorer
        precision = cast("FilePrecision", scorer.precision)
        return EngineOptions(
            engine=scorer.engine, device=str(scorer.device), precision=precision, batch_size=scorer.batch_size
        )

    @overload
    def __call__(
        self,
        source: str | os.PathLike[str],
        options: PredictOptions | None = None,
        **overrides: Unpack[PredictOverrides],
    ) -> Prediction: ...

    @overload
    def __call__(
        self,
        source: Paths,
        options: PredictOptions | None = None,
        **overrides: Unpack[PredictOverrides],
    ) -> list[Prediction | Failure]: ...

    def __call__(
        self,
        source: str | os.PathLike[str] | Paths,
        options: PredictOptions | None = None,
        **overrides: Unpack[PredictOverrides],
    ) -> Prediction | list[Prediction | Failure]:
        """Predict one video, which is a file or a folder of images, or a list of videos.

        Args:
            source: a path; or a list of paths, for which those that cannot be read give a `Failure` in the list.
            options: see `PredictOptions`.
            overrides: fields of `options` to change: rolling, rolling_causal, step_s, window_s, num_clips, num_crops,
                min_segment_s, min_score, fast_seek, share_frames, readers, decode_threads, image_fps.

        Raises:
            VideoError: it cannot be read.
        """
        if isinstance(source, (list, tuple)):
            return list(self.predict_many(source, options, **overrides))
        if not isinstance(source, (str, os.PathLike)):
            raise UsageError("not the path of a video", repr(source), "give a path, or a list of paths")
        (outcome,) = self.predict_many([source], options, **overrides)
        if isinstance(outcome, Failure):
            raise outcome.error
        return outcome

    def predict_many(
        self,
        sources: Sequence[str | os.PathLike[str]],
        options: PredictOptions | None = None,
        **overrides: Unpack[PredictOverrides],
    ) -> Iterator[Prediction | Failure]:
        """Predict videos, in their order; a video that cannot be read gives a `Failure` and does not stop the others.

        Args:
            sources: paths of files or folders of images.
            options: see `PredictOptions`.
            overrides: fields of `options` to change, as for `__call__`.

        Raises:
            UsageError: the network's outputs are no classes, or `fast_seek` does not go together with optical flow.
        """
        how = PredictOptions.of(options, **overrides)
        if self.card.task not in ("clip", "frame"):
            what = "predictions name classes, and the outputs of this network's task are something else"
            other = {"segments": "take `kinema localize`", "boxes": "take `kinema detect`"}
            do = other.get(self.card.task, "judge it with `kinema evaluate`")
            raise UsageError(what, f"{self.card.variant}, task {self.card.task}", do)
        if how.fast_seek != "none" and self.spec.has_flow:
            raise UsageError("optical flow needs neighbouring frames", self.card.variant, "leave out --fast-seek")
        paths, size = [os.fspath(source) for source in sources], self.scorer.batch_size
        batchers: list[Batcher] = [WholeClips(partial(self._scored, self.scorer), size)]
        by_frame = self.scorer.frame_scorer() if how.share_frames and not self.spec.has_flow else None
        if by_frame is not None:
            batchers.append(SharedFrames(by_frame, partial(self._scored, by_frame.logits)))
        reader = ClipReader(
            self.spec, how.windows(), how.num_crops, self.plan, by_frame=by_frame is not None,
            fast_seek=how.fast_seek, decode_threads=how.decode_threads, image_fps=how.image_fps,
        )  # fmt: skip
        timelines = Timelines(paths, len(self.labels), partial(self._conclude, how))
        num_threads = how.readers or self._num_threads()
        return run_videos(reader.read, batchers, timelines, num_threads=num_threads, batch_size=size)

    def _conclude(
        self, options: PredictOptions, path: str, start: VideoStart, damage: str, raw: NDArray[np.float32]
    ) -> Prediction:
        """The prediction for raw scores [windows classes]."""
        check_numbers(raw, path)
        spans = start.windows.spans_s
        timeline = Timeline(
            scores=rolling_average(raw, options.rolling, causal=options.rolling_causal),
            times_s=spans.mean(axis=1),
            spans_s=spans,
            labels=self.labels,
            raw=raw,
            rolling=options.rolling,
        )
        merging = SegmentOptions(min_duration_s=options.min_segment_s, min_score=options.min_score)
        return Prediction(
            path=path,
            labels=self.labels,
            scores=raw.mean(axis=0),
            span=TimeSpan(0.0, max(start.info.duration_s, float(spans[-1, 1]))),
            timeline=timeline,
            segments=merge_segments(timeline, merging),
            damage=damage,
            fast_seek=options.fast_seek,
        )

    def localize(
        self,
        source: str | os.PathLike[str],
        options: LocalizeOptions | None = None,
        **overrides: Unpack[LocalizeOverrides],
    ) -> Localization:
        """Locate the actions of a video in time.

        Args:
            source: its path.
            options: see `LocalizeOptions`.
            overrides: fields of `options` to change: smoothing_s, threshold, min_segment_s, max_gap_s, background, step_s,
                window_s, num_crops, fast_seek, image_fps, feature_cache, readers, decode_threads.

        Raises:
            VideoError: it cannot be read.
            UsageError: the network's task is another one, or an option has no meaning for it.
        """
        (outcome,) = self.localize_many([source], options, **overrides)
        if isinstance(outcome, Failure):
            raise outcome.error
        return outcome

    def localize_many(
        self,
        sources: Sequence[str | os.PathLike[str]],
        options: LocalizeOptions | None = None,
        name: str = "",
        **overrides: Unpack[LocalizeOverrides],
    ) -> Iterator[Localization | Failure]:
        """Locate actions in videos, in their order; a video that cannot be read gives a `Failure` and does not stop the others.

        Args:
            sources: paths of files or folders of images.
            options: see `LocalizeOptions`.
            name: of the model, in the results; empty is the network's name.
            overrides: fields of `options` to change, as for `localize`.
        """
        return Localizer(self, name).localize_many(sources, LocalizeOptions.of(options, **overrides))

    def features(
        self,
        source: str | os.PathLike[str],
        options: FeatureOptions | None = None,
        **overrides: Unpack[FeatureOverrides],
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Extract a vector for each clip of a video, by default the input of the classifier.

        Args:
            source: its path.
            options: see `FeatureOptions`.
            overrides: fields of `options` to change: layer, pool, step_s, window_s, image_fps.

        Returns:
            features [n f], and start and end of each clip in seconds, [n 2].

        Raises:
            VideoError: it cannot be read.
            UnknownName: there is no such layer.
        """
        with self._lock:
            (outcome,) = self.extract([source], options, **overrides)
            if isinstance(outcome, Failure):
                raise outcome.error
            return np.concatenate([rows for _, rows in outcome.chunks()]), outcome.spans_s

    def extract(
        self,
        sources: Sequence[str | os.PathLike[str]],
        options: FeatureOptions | None = None,
        **overrides: Unpack[FeatureOverrides],
    ) -> Iterator[VideoFeatures | Failure]:
        """Features of videos, in their order; a video that cannot be read gives a `Failure` and does not stop the others.

        Args:
            sources: paths of files or folders of images.
            options: see `FeatureOptions`.
            overrides: fields of `options` to change, as for `features`.
        """
        paths = [os.fspath(source) for source in sources]
        wanted = FeatureOptions.of(options, **overrides)
        return extract_many(self.scorer.in_torch(), paths, wanted, self._num_threads())

    def score_clips(self, clips: torch.Tensor) -> NDArray[np.float32]:
        """Scores [b classes] of uint8 clips [b c t h w], whatever the task; safe to call from several threads."""
        logits = self.scorer.in_torch().clip_logits if self.card.task == "frame" else self.scorer
        return self._scored(logits, clips)

    def _scored(
        self, logits: Callable[[torch.Tensor], NDArray[np.float32]], given: torch.Tensor
    ) -> NDArray[np.float32]:
        with self._lock:
            return to_scores(logits(given), self.card.multi_label)

    def _num_threads(self) -> int:
        """Videos that are decoded at the same time; on a CPU the network needs cores too.

        At least two with OpenVINO or ONNX Runtime: on two cores that is 14 % faster than one, but 5 % slower in torch.
        """
        cores = num_cores()
        if self.scorer.device.type != "cpu":
            return min(cores, 8)
        return max(1 if isinstance(self.scorer, Scorer) else min(cores, 2), min(cores // 2, 4))


def _engine_of(card: ModelCard, options: EngineOptions) -> EngineOptions:
    """The options; networks of task segments compute in torch, whose features are what they were trained on.

    Raises:
        UsageError: another engine was asked for.
    """
    if card.task != "segments":
        return options
    if options.engine not in ("auto", "torch"):
        raise UsageError("networks of task segments compute in torch", options.engine, "leave out --engine")
    return EngineOptions.of(options, engine="torch")


def load(
    path: str | os.PathLike[str] = DEFAULT,
    device: str = "auto",
    options: EngineOptions | None = None,
    *,
    progress: Progress = lambda done, total: None,
    **overrides: Unpack[LoadOverrides],
) -> Predictor:
    """Load a trained network.

    Args:
        path: a checkpoint folder, a run folder that contains `best/`, the name of published weights (downloaded at the
            first use), or a file of `kinema export` (.onnx, .xml); by default published weights for Kinetics-400.
        device: "auto", "cpu", "cuda" …
        options: engine, precision and batch size.
        progress: called with the downloaded bytes and their total (0: unknown).
        overrides: fields of `options` to change: engine, precision, batch_size; an exported file has its own engine.

    Raises:
        CheckpointError: the checkpoint is missing, damaged or made for something else.
        DownloadError: published weights cannot be downloaded.
    """
    how = EngineOptions.of(options, **overrides)
    if device != "auto":
        how = EngineOptions.of(how, device=device)
    if is_exported(path):
        return Predictor(*open_exported(path, how))
    network, card = load_trained(path, progress)
    return Predictor(network, card, how)
