"""`Predictor`: a trained network that takes files of any length and says what happens in them, and when.

    model = kinema.load("runs/slow_fusion-1/best")
    prediction = model("match.mp4", rolling=5)

Decoding and cropping run in threads ahead of the network; clips of several films share a batch.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from kinema.clips.flow import check_flow
from kinema.errors import CheckpointError, KinemaError
from kinema.inference.engine import Engine, open_scorer
from kinema.inference.exported import is_exported, open_exported
from kinema.inference.extractor import FeatureOptions, FilmFeatures, extract_many
from kinema.inference.outcome import Failure
from kinema.inference.rolling import check_size, rolling_average
from kinema.inference.scoring import ClipScorer, to_scores
from kinema.inference.segments import SegmentOptions, merge_segments
from kinema.inference.sources import ClipReader, Clips, Done, Opened, ReadAhead
from kinema.inference.windows import WindowOptions
from kinema.machine import num_cores
from kinema.models.device import channels_last
from kinema.models.trained import load_trained
from kinema.types import Prediction, Timeline, TimeSpan

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
    """

    rolling: int = 1
    step_s: float | None = None
    window_s: float | None = None
    num_clips: int = 1
    num_crops: int = 1
    min_segment_s: float = 0.0
    min_score: float = 0.0

    def __post_init__(self) -> None:
        check_size(self.rolling)
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
        batch_size: clips that go through the network at once.
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
        batch_size: int = 8,
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
        """
        wanted = PredictOptions(**options)
        paths = [os.fspath(source) for source in sources]
        reader = ClipReader(self.spec, wanted.windows(), wanted.num_crops, self.plan)
        return self._run(paths, reader, wanted)

    def _run(self, paths: list[str], reader: ClipReader, options: PredictOptions) -> Iterator[Prediction | Failure]:
        if not paths:
            return
        batch = _Batch(self.scorer.batch_size)
        films = _Films(paths, self.labels, self.card.multi_label, options)
        depth = 2 * self.scorer.batch_size
        with ReadAhead(reader.read, paths, num_threads=self._num_threads(), depth=depth) as items:
            for item in items:
                films.take(item)
                if isinstance(item, Clips) and batch.add(item):
                    films.score(batch, self._score(batch))
                yield from films.finished()
            if batch.items:
                films.score(batch, self._score(batch))
            yield from films.finished()

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
        with self._lock:
            return to_scores(self.scorer(clips), self.card.multi_label)

    def _score(self, batch: _Batch) -> NDArray[np.float32]:
        clips = torch.cat([item.views for item in batch.items])
        if not self.card.each_step:
            return self.score_clips(clips)
        with self._lock:
            return to_scores(self.scorer.steps(clips), self.card.multi_label)

    def _num_threads(self) -> int:
        """Films decoded at once: on a CPU the network needs the cores too."""
        return min(num_cores(), 8) if self.scorer.device.type != "cpu" else max(1, min(num_cores() // 2, 4))


class _Batch:
    """Clips on their way to the network, until there are enough."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.items: list[Clips] = []
        self.rows = 0

    def add(self, item: Clips) -> bool:
        """Whether the batch is now full."""
        self.items.append(item)
        self.rows += len(item.views)
        return self.rows >= self.size

    def clear(self) -> None:
        self.items, self.rows = [], 0


@dataclass(slots=True)
class _Film:
    """What is known of one film so far: sums of scores over the views of each window."""

    opened: Opened | None = None
    sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    read: bool = False
    error: KinemaError | None = None
    waiting: int = 0
    """Clips that were read and not scored yet."""

    def add(self, window: int, scores: NDArray[np.float32]) -> None:
        """Note the scores [v classes] of a clip's views, or [v t classes] at each of its frames."""
        assert self.opened is not None
        rows: Any = window
        summed = scores.sum(axis=0)
        if self.opened.windows.steps is not None:
            rows = self.opened.windows.steps[window]
            rows, summed = rows[rows >= 0], summed[rows >= 0]
        self.sums[rows] += summed
        self.counts[rows] += len(scores)


class _Films:
    """Puts the scores of interleaved films together and gives the finished ones in order."""

    def __init__(self, paths: list[str], labels: tuple[str, ...], multi_label: bool, options: PredictOptions) -> None:
        self.paths, self.labels, self.multi_label, self.options = paths, labels, multi_label, options
        self.open: dict[int, _Film] = {}
        self.next = 0

    def take(self, item: Opened | Clips | Done) -> None:
        film = self.open.setdefault(item.number, _Film())
        if isinstance(item, Opened):
            film.opened = item
            film.sums = np.zeros((len(item.windows.spans_s), len(self.labels)))
            film.counts = np.zeros(len(item.windows.spans_s), np.int64)
        elif isinstance(item, Clips):
            film.waiting += 1
        else:
            film.read, film.error = True, item.error

    def score(self, batch: _Batch, scores: NDArray[np.float32]) -> None:
        row = 0
        for item in batch.items:
            film, views = self.open[item.number], len(item.views)
            film.add(item.window, scores[row : row + views])
            film.waiting -= 1
            row += views
        batch.clear()

    def finished(self) -> Iterator[Prediction | Failure]:
        while (film := self.open.get(self.next)) and film.read and not film.waiting:
            path = self.paths[self.next]
            del self.open[self.next]
            self.next += 1
            yield Failure(path, film.error) if film.error else self._prediction(path, film)

    def _prediction(self, path: str, film: _Film) -> Prediction:
        assert film.opened is not None
        raw = (film.sums / film.counts[:, None]).astype(np.float32)
        if not np.isfinite(raw).all():
            do = "the network has diverged (train it again with a lower learning rate) or needs --precision f32"
            raise CheckpointError("the network's scores are not numbers", path, do)
        spans = film.opened.windows.spans_s
        timeline = Timeline(
            scores=rolling_average(raw, self.options.rolling),
            times_s=spans.mean(axis=1),
            spans_s=spans,
            labels=self.labels,
            raw=raw,
            rolling=self.options.rolling,
        )
        merging = SegmentOptions(min_duration_s=self.options.min_segment_s, min_score=self.options.min_score)
        duration_s = max(film.opened.info.duration_s, float(spans[-1, 1]))
        return Prediction(
            path=path,
            labels=self.labels,
            scores=raw.mean(axis=0),
            span=TimeSpan(0.0, duration_s),
            timeline=timeline,
            segments=merge_segments(timeline, merging),
            damage=film.opened.damage,
        )


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
        options: precision, batch_size and engine, see `Predictor`; an exported file is its own engine.

    Raises:
        CheckpointError: missing, damaged or made for something else.
        DownloadError: published weights cannot be fetched.
    """
    if is_exported(path):
        return Predictor(*open_exported(path, device=device, **options))
    network, card = load_trained(path, progress)
    return Predictor(network, card, device=device, **options)
