"""`kinema predict`: what happens in videos, and when, as a table, JSON, CSV or subtitles, or drawn onto the film."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.choices import FastSeek, FlowMethod, PredictionFormat
from kinema.console.inputs import list_sources
from kinema.console.outputs import check_results
from kinema.console.prediction_printer import PredictionPrinter, write_report
from kinema.console.progress import TerminalProgress, open_trained
from kinema.engines.options import EngineOptions
from kinema.errors import KinemaError, OutputError, UnreadableVideo, UsageError, VideoError, check_settings
from kinema.files import check_folder, write_json
from kinema.inference.options import PredictOptions
from kinema.predictions import Failure
from kinema.runs.options import check_crops

if TYPE_CHECKING:
    from kinema.engines.scorer import ClipScorer
    from kinema.inference.predictor import Predictor
    from kinema.models.network import Network
    from kinema.predictions import Prediction
    from kinema.weights.checkpoint import ModelCard

log = logging.getLogger("kinema")

_FILMS = (".mp4", ".webm", ".mkv", ".gif")
_REPORT = "report.html"


@dataclass(frozen=True, kw_only=True)
class PredictConfig(EngineOptions):
    """Settings of a prediction."""

    model: str | None = None
    """A checkpoint folder, a run folder with best/ in it, published weights by name (`kinema models --weights`), or a file
    of `kinema export` (.onnx, .xml); with --labels a CLIP or SigLIP of transformers, as hf:NAME_OR_FOLDER
    (hf:openai/clip-vit-base-patch32)."""
    labels: str | None = None
    """What to look for, in words, with commas between: "ice hockey, a fight, a crowd". Nothing is trained."""
    prompt: str = "a video of {}"
    """The sentence that each of --labels is set into."""
    rolling: int = 1
    """Average the last so many predictions, which takes the flicker out of the label; 1 is off."""
    step: float | None = None
    """Seconds between predictions; without it one a clip, at least half a second apart."""
    window: float | None = None
    """For networks that spread their frames: seconds of film that they see at once."""
    clips: int = 1
    """More clips: shifted ones of each window, or for densely sampling networks at least so many of the film."""
    crops: int = 1
    """Crops of each clip: 1 (centre) or 3 (left, centre, right)."""
    min_segment: float = 0.0
    """Segments of fewer seconds go to their neighbours."""
    min_score: float = 0.0
    """Times whose best score is lower belong to no segment."""
    top: int | None = None
    """How many labels of a video are shown; without it 5, and in the lines of several videos the best one."""
    format: PredictionFormat = "table"
    """What is printed, or written to --out; csv, srt and vtt hold the segments."""
    json: bool = False
    """Print JSON: one document for one video, a line each for several; the same as --format json."""
    out: str | None = None
    """Folder for a file a video in --format (json unless told otherwise), and report.html."""
    render: str | None = None
    """Draw labels onto the film: a file such as out.mp4, or a folder for several videos."""
    fast_seek: FastSeek = "none"
    """Decode less of the film: all frames but those that no other frame refers to (nonref), or keyframes only; the nearest
    one before stands for a frame that is left out. Quicker, and scores change: see `predict` in the documentation."""
    flow_method: FlowMethod | None = None
    """How optical flow is computed: a network's own method, which it takes anyway; any other is refused."""

    def __post_init__(self) -> None:
        counts = ("rolling", "clips", "top", "batch_size")
        check_settings({name: getattr(self, name) for name in counts}, 1)
        check_settings({"step": self.step, "window": self.window}, 1e-3)
        check_settings({"min_segment": self.min_segment}, 0)
        check_settings({"min_score": self.min_score}, 0, 1)
        check_crops(self.crops)

    @property
    def num_labels(self) -> int:
        """How many labels of a video are shown where there is room for several."""
        return self.top or 5

    @property
    def options(self) -> PredictOptions:
        """How each video is predicted."""
        return PredictOptions(
            rolling=self.rolling, step_s=self.step, window_s=self.window, num_clips=self.clips, num_crops=self.crops,
            min_segment_s=self.min_segment, min_score=self.min_score, fast_seek=self.fast_seek,
        )  # fmt: skip

    @property
    def printed(self) -> PredictionFormat:
        """The format of standard output."""
        return "json" if self.json else self.format

    @property
    def written(self) -> str:
        """The ending of the files in --out."""
        return "json" if self.printed == "table" else self.printed


def predict(paths: Sequence[str], config: PredictConfig = PredictConfig()) -> int:
    """Say what happens in videos, and when.

    Takes files, patterns, folders (with all below) and `-` for a list of paths on standard input. A file that cannot be
    read is named and does not end the run; it leaves exit status 1.

    Examples:
        kinema predict match.mp4 --model runs/slow_fusion-1/best

        kinema predict match.mp4 --model r2plus1d_18

        kinema predict films/ --model runs/slow_fusion-1 --json > films.jsonl

        kinema predict match.mp4 --model runs/slow_fusion-1 --rolling 5 --min-segment 2 --format srt > match.srt

        kinema predict match.mp4 --model runs/slow_fusion-1 --rolling 5 --render labelled.mp4

        kinema predict match.mp4 --model slow_fusion_small.onnx

        kinema predict archive/ --model runs/single_frame-1 --fast-seek keyframes

        kinema predict match.mp4 --labels "ice hockey, a fight, a crowd"

        find . -name '*.mp4' | kinema predict - --model runs/slow_fusion-1 --out found/

    Args:
        paths: files, patterns, folders, or `-`.
    """
    sources, failures = list_sources(paths)
    _check(config, sources, len(sources) + len(failures))
    results = _Results(config, sources, len(sources) + len(failures))
    for path, error in failures:  # before anything is loaded: a misspelt name is told at once
        results.take(Failure(path, error))
    if sources:
        for outcome in _outcomes(_predictor(config), sources, config):
            results.take(outcome)
    results.finish()
    return 1 if results.num_failed else 0


def _predictor(config: PredictConfig) -> Predictor:
    """A trained network, an exported file, or a network made of words."""
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


def _damage(prediction: Prediction) -> KinemaError | None:
    do = "the prediction is for what is left; copy it again"
    return UnreadableVideo(prediction.damage, prediction.path, do) if prediction.damage else None


def _check(config: PredictConfig, sources: Sequence[str], count: int) -> None:
    _check_model(config)
    if config.out:
        check_results(config.out, [_REPORT, *(f"{name}.{config.written}" for name in _names(sources))], _REPORT)
    if config.render:
        _check_target(config.render, sources)
    if count == 1:
        return
    if config.printed in ("srt", "vtt") and not config.out:
        raise UsageError(
            f"subtitles of {count} videos need a file each", f"--format {config.printed}", "give --out FOLDER"
        )
    if config.render and Path(config.render).suffix.lower() in _FILMS:
        raise UsageError(f"{count} videos cannot be drawn into one file", config.render, "give --render a folder")


def _check_model(config: PredictConfig) -> None:
    if config.labels is not None:
        return
    if config.model is None:
        raise UsageError("predict needs --model", do="give a trained network, or --labels to look for")
    if config.model.startswith("hf:"):
        do = 'say what to look for: --labels "ice hockey, a crowd"'
        raise UsageError("an encoder of pictures and text needs labels", config.model, do)


def _check_target(path: str, sources: Sequence[str]) -> None:
    """A film is drawn into a new file of a kind that can be written, or into a folder other than its own."""
    ending = Path(path).suffix.lower()
    is_film = ending in _FILMS
    if ending and not is_film and not Path(path).is_dir() and not path.endswith("/"):
        do = f"use one of {', '.join(_FILMS)}, or end a folder's name with /"
        raise UsageError("cannot draw into a film of this kind", path, do)
    check_folder(Path(path).parent if is_film else path)
    target = Path(path).resolve()
    if any(target == (Path(source).resolve() if is_film else Path(source).resolve().parent) for source in sources):
        raise UsageError("the film would be written over itself", path, "give --render another name")
    for film in [target] if is_film else [Path(path) / f"{name}.mp4" for name in _names(sources)]:
        if film.exists():
            raise OutputError("a film is never overwritten", film, "give --render another name, or delete it")


def _outcomes(predictor: Predictor, sources: list[str], config: PredictConfig) -> Iterator[Prediction | Failure]:
    with TerminalProgress().count("predicting", len(sources) if len(sources) > 1 else 0) as advance:
        for outcome in predictor.predict_many(sources, config.options):
            yield outcome
            advance(1)


class _Results:
    """Shows what comes of each video, writes what belongs to it, and a report in the end.

    Args:
        config: what is asked for.
        sources: the videos.
        count: of all inputs, those that lead nowhere too.
    """

    def __init__(self, config: PredictConfig, sources: Sequence[str], count: int) -> None:
        self.config, self.single, self.count = config, len(sources) == 1, count
        self.show = PredictionPrinter(config.printed, config.top, single=count == 1, to_files=bool(config.out))
        self.names = _Names()
        self.kept: list[Prediction | Failure] = []
        self.num_failed = 0

    def take(self, outcome: Prediction | Failure) -> None:
        """Show one outcome, and write its files."""
        self.show(outcome)
        trouble = outcome.error if isinstance(outcome, Failure) else self._write(outcome) or _damage(outcome)
        if self.config.out:
            self.kept.append(outcome)
        if trouble is not None:
            self.num_failed += 1
            log.error("%s", trouble if outcome.path in str(trouble) else f"{outcome.path}: {trouble}")

    def _write(self, prediction: Prediction) -> KinemaError | None:
        """Its prediction and the drawn film; gives the reason where the film cannot be drawn."""
        name = self.names.new(Path(prediction.path).stem)
        if self.config.out:
            path = Path(self.config.out) / f"{name}.{self.config.written}"
            if self.config.written == "json":
                write_json(path, prediction.to_json(self.config.num_labels))
            else:
                prediction.save(path)
        if self.config.render:
            try:
                _render(prediction, self.config.render, name, single=self.single)
            except VideoError as error:
                return error
        return None

    def finish(self) -> None:
        """Write the report, and tell how many there were."""
        if self.config.out:
            write_report(
                self.kept,
                Path(self.config.out) / _REPORT,
                str(self.config.model or self.config.labels),
                self.config.num_labels,
            )
            log.info("report: %s", Path(self.config.out) / _REPORT)
        if self.count > 1 and (self.config.out or self.config.printed == "table"):
            log.info("%d videos, %s", self.count, f"{self.num_failed} failed" if self.num_failed else "all well")


class _Names:
    """File names for videos; of two with the same name the second gets a number."""

    def __init__(self) -> None:
        self.given: set[str] = set()

    def new(self, stem: str) -> str:
        name, number = stem, 2
        while name.lower() in self.given:
            name, number = f"{stem}-{number}", number + 1
        self.given.add(name.lower())
        return name


def _names(sources: Iterable[str]) -> list[str]:
    """The names of all videos' files, if none of them fails."""
    names = _Names()
    return [names.new(Path(source).stem) for source in sources]


def _render(prediction: Prediction, target: str, name: str, *, single: bool) -> None:
    from kinema.inference.render import render

    path = Path(target)
    if not (single and path.suffix.lower() in _FILMS):
        path = path / f"{name}.mp4"
    with TerminalProgress().count(f"drawing {path.name}", round(prediction.span.duration_s * 25)) as advance:
        render(prediction, path, advance)
    log.info("%s: written", path)
