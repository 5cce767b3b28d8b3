"""`kinema predict`: what happens in videos, and when, as a table, JSON, CSV or subtitles, or drawn onto the video."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.choices import FastSeek, FlowMethod, PredictionFormat
from kinema.console.inputs import list_sources
from kinema.console.outputs import check_rendered, check_results, output_names, rendered_path
from kinema.console.progress import TerminalProgress, open_trained
from kinema.console.resume import RECORD, ResumeRecord
from kinema.engines.options import EngineOptions
from kinema.errors import KinemaError, UnreadableVideo, UsageError, VideoError, check_settings
from kinema.files import write_json
from kinema.runs.options import check_crops
from kinema.types import IMAGE_FPS

if TYPE_CHECKING:
    from kinema.engines.scorer import ClipScorer
    from kinema.inference.options import PredictOptions
    from kinema.inference.predictor import Predictor
    from kinema.models.network import Network
    from kinema.predictions import Failure, Prediction
    from kinema.weights.checkpoint import ModelCard

log = logging.getLogger("kinema")

_REPORT = "report.html"
_RENDER_FPS = 25
"""Frames a second that progress bars expect of a drawn video."""


@dataclass(frozen=True, kw_only=True)
class PredictConfig(EngineOptions):
    """Settings of a prediction."""

    model: str | None = None
    """A checkpoint folder, a run folder with best/ in it, published weights by name (`kinema models --weights`), or a file
    of `kinema export` (.onnx, .xml); with --labels a CLIP or SigLIP of transformers, as hf:NAME_OR_FOLDER
    (hf:openai/clip-vit-base-patch32). By default x3d_m, published weights for Kinetics-400 (licence Apache-2.0)."""
    labels: str | None = None
    """Classes in words, separated by commas: "ice hockey, a fight, a crowd". Nothing is trained."""
    prompt: str = "a video of {}"
    """The sentence that each of --labels is put into."""
    rolling: int = 1
    """Average this many predictions around each time, so that the label flickers less; 1 is off."""
    rolling_causal: bool = False
    """Average the last --rolling predictions, as a live stream does; changes of the label are then late."""
    step: float | None = None
    """Seconds between predictions; default: the length of a clip, but at least half a second."""
    window: float | None = None
    """For networks that spread their frames: seconds of video in a clip."""
    clips: int = 1
    """More clips: shifted ones of each window, or at least so many of the video for networks that sample densely."""
    crops: int = 1
    """Crops of each clip: 1 (centre) or 3 (left, centre, right)."""
    min_segment: float = 0.0
    """Shortest segment in seconds; shorter ones are merged with their neighbours."""
    min_score: float = 0.0
    """Lowest best score of a segment; times with a lower one belong to no segment."""
    top: int | None = None
    """Labels shown for a video; default: 5, and the best one in the lines of several videos."""
    format: PredictionFormat = "table"
    """Format of the output and of the files in --out; csv, srt and vtt hold the segments."""
    json: bool = False
    """Print JSON: one document for one video, one line each for several; the same as --format json."""
    out: str | None = None
    """Folder for report.html and a file for each video, in --format (json by default)."""
    render: str | None = None
    """Draw labels onto the video: a file such as out.mp4, or a folder for several videos."""
    fast_seek: FastSeek = "none"
    """Decode fewer frames: leave out those that no other frame refers to (nonref), or all but keyframes. The nearest earlier
    frame replaces a frame that is left out. This is faster and changes scores: see `predict` in the documentation."""
    image_fps: float | None = None
    """Take each folder of pictures as one video of this frame rate; without it each picture is predicted alone."""
    flow_method: FlowMethod | None = None
    """Method of the optical flow; only the network's own is accepted, which is also the default."""

    def __post_init__(self) -> None:
        counts = ("rolling", "clips", "top", "batch_size")
        check_settings({name: getattr(self, name) for name in counts}, 1)
        check_settings({"step": self.step, "window": self.window}, 1e-3)
        check_settings({"min_segment": self.min_segment}, 0)
        check_settings({"image_fps": self.image_fps}, 1e-3, 1e4)
        check_settings({"min_score": self.min_score}, 0, 1)
        check_crops(self.crops)

    @property
    def num_labels(self) -> int:
        """Labels shown for a video where there is room for several."""
        return self.top or 5

    @property
    def recorded(self) -> dict[str, object]:
        """The settings that a stopped command must share to be continued."""
        return {
            name: value for name, value in asdict(self).items() if name not in ("json", "out", "format", "model")
        } | {"format": self.written}

    @property
    def options(self) -> PredictOptions:
        """The options of each prediction."""
        from kinema.inference.options import PredictOptions

        return PredictOptions(
            rolling=self.rolling, rolling_causal=self.rolling_causal, step_s=self.step, window_s=self.window,
            num_clips=self.clips, num_crops=self.crops,
            min_segment_s=self.min_segment, min_score=self.min_score, fast_seek=self.fast_seek,
            image_fps=self.image_fps or IMAGE_FPS,
        )  # fmt: skip

    @property
    def printed(self) -> PredictionFormat:
        """The format of standard output."""
        return "json" if self.json else self.format

    @property
    def written(self) -> str:
        """The file ending of the files in --out."""
        return "json" if self.printed == "table" else self.printed


def predict(paths: Sequence[str], config: PredictConfig = PredictConfig()) -> int:
    """Say what happens in videos, and when.

    Takes files, patterns, folders (with all below) and `-` for a list of paths on standard input. A file that cannot be
    read is named and does not end the run; the exit status is then 1.

    Examples:
        kinema predict match.mp4

        kinema predict match.mp4 --model runs/slow_fusion-1/best

        kinema predict match.mp4 --model r2plus1d_18

        kinema predict videos/ --model runs/slow_fusion-1 --json > videos.jsonl

        kinema predict match.mp4 --model runs/slow_fusion-1 --rolling 5 --min-segment 2 --format srt > match.srt

        kinema predict match.mp4 --model runs/slow_fusion-1 --rolling 5 --render labelled.mp4

        kinema predict match.mp4 --model slow_fusion_small.onnx

        kinema predict archive/ --model runs/single_frame-1 --fast-seek keyframes

        kinema predict match.mp4 --labels "ice hockey, a fight, a crowd"

        find . -name '*.mp4' | kinema predict - --model runs/slow_fusion-1 --out found/

    Args:
        paths: files, patterns, folders, or `-`.
    """
    from kinema.predictions import Failure

    sources, failures = list_sources(paths, frame_folders=config.image_fps is not None)
    count = len(sources) + len(failures)
    config = _with_model(config)
    names = output_names(sources, paths)
    record = ResumeRecord(config.out, config.recorded, str(config.model or config.labels))
    done = [record.done[path] for path in sources if path in record.done]
    remaining = [path for path in sources if path not in record.done]
    _check(config, names, {path: names[path] for path in remaining}, count)
    results = _Results(config, names, count, record)
    for path, error in failures:  # before the network is loaded, so that a misspelt name is reported at once
        results.take(Failure(path, error))
    if done:
        log.info("%d of %d videos were predicted before; their results are kept", len(done), count)
    for prediction in done:
        results.take(prediction)
    if remaining:
        predictor = _open_predictor(config)
        with (
            record.resumable(),
            TerminalProgress().count("predicting", len(remaining) if len(remaining) > 1 else 0) as advance,
        ):
            for outcome in predictor.predict_many(remaining, config.options):
                results.take(outcome)
                advance(1)
    results.finish()
    return 1 if results.num_failed else 0


def _with_model(config: PredictConfig) -> PredictConfig:
    """The settings with the default network if none is given; says which."""
    if config.labels is not None or config.model is not None:
        return config
    from kinema.weights.published import DEFAULT, describe_default

    log.info("%s", describe_default())
    return replace(config, model=DEFAULT)


def _check(config: PredictConfig, names: Mapping[str, Path], remaining: Mapping[str, Path], count: int) -> None:
    """Find wrong requests before the network is loaded; `remaining` are the videos that no earlier command has done."""
    if config.labels is None and str(config.model).startswith("hf:"):
        do = 'say what to look for: --labels "ice hockey, a crowd"'
        raise UsageError("an encoder of images and text needs labels", config.model or "", do)
    if config.out:
        own = RECORD if (Path(config.out) / RECORD).exists() else _REPORT
        check_results(config.out, [_REPORT, *(f"{name}.{config.written}" for name in names.values())], own)
    if config.render:
        check_rendered(config.render, remaining, count)
    if count > 1 and config.printed in ("srt", "vtt") and not config.out:
        raise UsageError(
            f"subtitles of {count} videos need a file each", f"--format {config.printed}", "give --out FOLDER"
        )


def _open_predictor(config: PredictConfig) -> Predictor:
    """A trained network, an exported file, or an encoder of images and text with labels."""
    from kinema.clips.flow import check_flow
    from kinema.engines.exported import is_exported, open_exported
    from kinema.inference.predictor import Predictor

    trained: tuple[Network | ClipScorer, ModelCard]
    if config.labels is not None:
        from kinema.weights.zero_shot import DEFAULT, zero_shot

        labels = [label.strip() for label in config.labels.split(",") if label.strip()]
        trained = zero_shot(config.model or DEFAULT, labels, config.prompt)
    elif is_exported(str(config.model)):
        trained = open_exported(str(config.model), config)
    else:
        trained = open_trained(str(config.model))
    check_flow(trained[0].spec, config.flow_method)
    network, card = trained
    return Predictor(network, card, config)


class _Results:
    """Prints the outcome of each video, writes its files, and writes a report at the end.

    Args:
        config: settings of the prediction.
        names: where the outputs of each video go; see `output_names`.
        count: number of all inputs, with those that lead to no file.
        record: of the videos that are done.
    """

    def __init__(self, config: PredictConfig, names: Mapping[str, Path], count: int, record: ResumeRecord) -> None:
        self.config, self.names, self.single, self.count = config, names, len(names) == 1, count
        self.record = record
        from kinema.console.prediction_printer import PredictionPrinter

        self.print = PredictionPrinter(config.printed, config.top, single=count == 1, to_files=bool(config.out))
        self.kept: list[Prediction | Failure] = []
        self.num_failed = 0

    def take(self, outcome: Prediction | Failure) -> None:
        """Print one outcome, and write its files."""
        from kinema.predictions import Failure

        self.print(outcome)
        error = outcome.error if isinstance(outcome, Failure) else self._write(outcome)
        if self.config.out:
            self.kept.append(outcome)
        if error is not None:
            self.num_failed += 1
            log.error("%s", error if outcome.path in str(error) else f"{outcome.path}: {error}")

    def _write(self, prediction: Prediction) -> KinemaError | None:
        """Write the prediction and the video with labels; returns the error of the rendering, or that of the video."""
        if prediction.path not in self.record.done:
            error = self._write_files(prediction)
            if error is not None:
                return error
            self.record.add(prediction)
        if not prediction.damage:
            return None
        do = "the prediction is for what is left; copy it again"
        return UnreadableVideo(prediction.damage, prediction.path, do)

    def _write_files(self, prediction: Prediction) -> KinemaError | None:
        config, name = self.config, self.names[prediction.path]
        if config.out:
            path = Path(config.out) / f"{name}.{config.written}"
            if config.written == "json":
                write_json(path, prediction.to_json(config.num_labels))
            else:
                prediction.save(path)
        if config.render:
            from kinema.inference.render import render

            path = rendered_path(config.render, name, single=self.single)
            num_frames = round(prediction.span.duration_s * _RENDER_FPS)
            try:
                with TerminalProgress().count(f"drawing {path.name}", num_frames) as advance:
                    render(prediction, path, advance, config.image_fps or IMAGE_FPS)
            except VideoError as error:
                return error
            log.info("%s: written", path)
        return None

    def finish(self) -> None:
        """Write the report, and log the number of videos."""
        config = self.config
        if config.out:
            from kinema.console.prediction_printer import write_report

            path = Path(config.out) / _REPORT
            order = {path: place for place, path in enumerate(self.names)}
            self.kept.sort(key=lambda outcome: order.get(outcome.path, -1))
            write_report(self.kept, path, str(config.model or config.labels), config.num_labels)
            self.record.finish()
            log.info("report: %s", path)
        if self.count > 1 and (config.out or config.printed == "table"):
            log.info("%d videos, %s", self.count, f"{self.num_failed} failed" if self.num_failed else "all well")
