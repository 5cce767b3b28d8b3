"""`Predictor`: a trained network that takes files of any length and says what happens in them, and when.

    model = kinema.load("runs/slow_fusion-1/best")
    prediction = model("match.mp4", rolling=5)

Decoding and cropping run in threads ahead of the network; clips of several films share a batch.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import torch

from kinema.clips.flow import check_flow
from kinema.errors import UnknownName, UsageError, check_settings
from kinema.inference.engine import Engine, open_scorer
from kinema.inference.exported import is_exported, open_exported
from kinema.inference.extractor import FeatureOptions, FilmFeatures, extract_many
from kinema.inference.films import Films
from kinema.inference.gathering import SharedFrames, WholeClips
from kinema.inference.outcome import Failure
from kinema.inference.rolling import check_size, rolling_average
from kinema.inference.scoring import ClipScorer, Scorer, check_numbers, to_scores
from kinema.inference.segments import SegmentOptions, merge_segments
from kinema.inference.sources import ClipReader, Opened, ReadAhead
from kinema.inference.windows import WindowOptions
from kinema.machine import num_cores
from kinema.models.device import channels_last
from kinema.models.trained import load_trained
from kinema.types import Prediction, Timeline, TimeSpan
from kinema.video import FastSeek

__all__ = ["Failure", "PredictOptions", "Predictor", "load"]

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.models.checkpoint import ModelCard
    from kinema.models.download import Progress
    from kinema.models.network import Network


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictOptions:
    """How a film is predicted.

    Args:
        rolling: average the last so many predictions, 1 is off.
        step_s: seconds between predictions; None chooses by the network's clip length.
        window_s: for networks that spread their frames, the length of film they see at once; None is the network's own.
        num_clips: clips that a spread network sees of each window, or least number of clips of a dense one.
        num_crops: 1 (centre) or 3 (left, centre, right), whose scores are averaged.
        min_segment_s: shorter segments go to their neighbours.
        min_score: times whose best score is lower belong to no segment.
        fast_seek: "none" decodes every frame that is wanted. "nonref" leaves out those that no other frame refers to,
            "keyframes" all but those that decode by themselves; the nearest frame before stands for one that is left out.
        share_frames: a network that looks at each frame alone gets each once, where windows overlap; False gives it whole
            clips, for comparison.
        readers: films that are read at once; None chooses by cores and device.
        decode_threads: threads of each film's decoder; None chooses by its size.
    """

    rolling: int = 1
    step_s: float | None = None
    window_s: float | None = None
    num_clips: int = 1
    num_crops: int = 1
    min_segment_s: float = 0.0
    min_score: float = 0.0
    fast_seek: FastSeek = "none"
    share_frames: bool = True
    readers: int | None = None
    decode_threads: int | None = None

    def __post_init__(self) -> None:
        check_size(self.rolling)
        check_settings({"readers": self.readers, "decode_threads": self.decode_threads}, 1)
        if self.fast_seek not in get_args(FastSeek):
            raise UnknownName("fast seek", self.fast_seek, get_args(FastSeek))
        self.windows()

    def windows(self) -> WindowOptions:
        """The part that chooses windows."""
        return WindowOptions(self.step_s, self.num_clips, self.window_s)


class Predictor:
    """A network with its labels, ready for files.

    Args:
        network: in `network.spec` it says how it wants to be fed; it is moved to the device. Or what scores in its place,
            such as an exported file, whose device, precision and batch size are its own.
        card: names the classes.
        device: "auto", "cpu", "cuda", "cuda:1" …
        precision: "auto" (bf16 where the hardware is fast at it, else f32), "f32", "bf16" or "fp16".
        batch_size: clips that go through the network at once; None: as many as serve it (`scoring.usual_batch`).
        engine: what computes: "torch", "openvino", or "auto"; see `kinema.inference.engine`.

    Raises:
        UsageError: no such device, precision or engine.
        MissingExtra: the network sees optical flow, and OpenCV is not there.
        CheckpointError: the card says that it answers at each frame, and it cannot.
    """

    def __init__(
        self,
        network: Network | ClipScorer,
        card: ModelCard,
        *,
        device: str = "auto",
        precision: str = "auto",
        batch_size: int | None = None,
        engine: Engine = "torch",
    ) -> None:
        check_flow(network.spec)
        self.card, self.labels, self.spec = card, tuple(card.labels), network.spec
        if isinstance(network, ClipScorer):
            self.scorer = network
        else:
            self.scorer = open_scorer(
                network.eval(), card, engine=engine, device=device, precision=precision, batch_size=batch_size
            )
            channels_last(network.to(self.scorer.device))
        self.plan = self.scorer.step_plan() if card.each_step else None
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

    def __call__(self, source: str | os.PathLike[str], **options: Any) -> Prediction:
        """Predict one film: a file or a folder of images.

        Args:
            source: its path.
            options: see `PredictOptions`.

        Raises:
            VideoError: it cannot be read.
        """
        (outcome,) = self.predict_many([source], **options)
        if isinstance(outcome, Failure):
            raise outcome.error
        return outcome

    def predict_many(self, sources: Sequence[str | os.PathLike[str]], **options: Any) -> Iterator[Prediction | Failure]:
        """Predict films, in their order; one that cannot be read gives a `Failure` and the rest goes on.

        Args:
            sources: paths of files or folders of images.
            options: see `PredictOptions`.

        Raises:
            UsageError: `fast_seek` for a network that sees optical flow.
        """
        wanted = PredictOptions(**options)
        paths = [os.fspath(source) for source in sources]
        if wanted.fast_seek != "none" and self.spec.has_flow:
            raise UsageError("optical flow needs neighbouring frames", self.card.variant, "leave out --fast-seek")
        reader = ClipReader(
            self.spec, wanted.windows(), wanted.num_crops, self.plan,
            fast_seek=wanted.fast_seek, decode_threads=wanted.decode_threads,
        )  # fmt: skip
        return self._run(paths, reader, wanted)

    def _run(self, paths: list[str], reader: ClipReader, options: PredictOptions) -> Iterator[Prediction | Failure]:
        if not paths:
            return
        gatherings = self._gatherings(options.share_frames)
        reader = replace(reader, by_frame=len(gatherings) > 1)
        films = Films(paths, len(self.labels), partial(self._conclude, options))
        num_threads = options.readers or self._num_threads()
        with ReadAhead(reader.read, paths, num_threads=num_threads, depth=2 * self.scorer.batch_size) as items:
            for item in items:
                films.take(item)
                for gathering in gatherings:
                    films.add(gathering.take(item))
                if films.hold_more_than(
                    4 * self.scorer.batch_size
                ):  # where one film waits for its like, of which none comes
                    films.add(row for gathering in gatherings for row in gathering.finish())
                yield from films.finished()
        films.add(row for gathering in gatherings for row in gathering.finish())
        yield from films.finished()

    def _gatherings(self, share_frames: bool) -> list[WholeClips | SharedFrames]:
        """Where clips wait, and frames of a network that looks at each of them alone."""
        found: list[WholeClips | SharedFrames] = [WholeClips(self._score, self.scorer.batch_size)]
        scorer = self.scorer.frame_scorer() if share_frames and not self.spec.has_flow else None
        if scorer is not None:
            logits = scorer.step_logits if self.card.each_step else scorer.logits
            found.append(SharedFrames(scorer, partial(self._scored, logits)))
        return found

    def _conclude(
        self, options: PredictOptions, path: str, opened: Opened, damage: str, raw: NDArray[np.float32]
    ) -> Prediction:
        check_numbers(raw, path)
        spans = opened.windows.spans_s
        timeline = Timeline(
            scores=rolling_average(raw, options.rolling),
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
            span=TimeSpan(0.0, max(opened.info.duration_s, float(spans[-1, 1]))),
            timeline=timeline,
            segments=merge_segments(timeline, merging),
            damage=damage,
            fast_seek=options.fast_seek,
        )

    def features(
        self, source: str | os.PathLike[str], **options: Any
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """What the network makes of each clip of a film before it names a class.

        Args:
            source: its path.
            options: see `FeatureOptions`: a layer by name, how maps are pooled, seconds between clips.

        Returns:
            features [n f] and the span that each clip covers, start and end in seconds, [n 2].

        Raises:
            VideoError: it cannot be read.
            UnknownName: there is no such layer.
        """
        with self._lock:
            wanted = FeatureOptions(**options)
            (outcome,) = extract_many(self.scorer.in_torch(), [os.fspath(source)], wanted, self._num_threads())
            if isinstance(outcome, Failure):
                raise outcome.error
            return np.concatenate([rows for _, rows in outcome.chunks()]), outcome.spans_s

    def extract(self, sources: Sequence[str | os.PathLike[str]], **options: Any) -> Iterator[FilmFeatures | Failure]:
        """Features of films, in their order; one that cannot be read gives a `Failure` and the rest goes on.

        Args:
            sources: paths of files or folders of images.
            options: see `FeatureOptions`.
        """
        paths = [os.fspath(source) for source in sources]
        return extract_many(self.scorer.in_torch(), paths, FeatureOptions(**options), self._num_threads())

    def score_clips(self, clips: torch.Tensor) -> NDArray[np.float32]:
        """Scores [b classes] of uint8 clips [b c t h w]; safe to call from several threads."""
        return self._scored(self.scorer, clips)

    def _score(self, clips: torch.Tensor) -> NDArray[np.float32]:
        return self._scored(self.scorer.steps if self.card.each_step else self.scorer, clips)

    def _scored(
        self, logits: Callable[[torch.Tensor], NDArray[np.float32]], given: torch.Tensor
    ) -> NDArray[np.float32]:
        with self._lock:
            return to_scores(logits(given), self.card.multi_label)

    def _num_threads(self) -> int:
        """Films decoded at once: on a CPU the network needs the cores too.

        Two at least where OpenVINO or ONNX Runtime computes: on two cores a seventh quicker, in torch a twentieth slower.
        """
        cores = num_cores()
        if self.scorer.device.type != "cpu":
            return min(cores, 8)
        return max(1 if isinstance(self.scorer, Scorer) else min(cores, 2), min(cores // 2, 4))


def load(
    path: str | os.PathLike[str],
    device: str = "auto",
    *,
    progress: Progress = lambda done, total: None,
    **options: Any,
) -> Predictor:
    """Load a trained network.

    Args:
        path: a checkpoint folder, a run folder with `best/` in it, the name of published weights, which are downloaded
            when they are first asked for, or a file of `kinema export` (.onnx, .xml).
        device: "auto", "cpu", "cuda" …
        progress: called with the bytes of a download that are there, and all there will be (0: not known).
        options: precision, batch_size and engine ("auto" here), see `Predictor`; an exported file is its own engine.

    Raises:
        CheckpointError: missing, damaged or made for something else.
        DownloadError: published weights cannot be fetched.
    """
    if is_exported(path):
        return Predictor(*open_exported(path, device=device, **options))
    network, card = load_trained(path, progress)
    return Predictor(network, card, device=device, **{"engine": "auto", **options})
