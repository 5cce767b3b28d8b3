"""`kinema localize`: which actions happen in videos, and when."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.choices import FastSeek, GroupingMeasure, LocalizationFormat
from kinema.console.inputs import list_sources
from kinema.console.outputs import check_rendered, check_results, output_names, rendered_path
from kinema.console.progress import TerminalProgress, open_trained
from kinema.console.resume import RECORD, ResumeRecord
from kinema.engines.options import EngineOptions
from kinema.errors import KinemaError, UnreadableVideo, UsageError, VideoError, check_settings
from kinema.runs.options import check_crops
from kinema.types import IMAGE_FPS

if TYPE_CHECKING:
    from kinema.inference.options import LocalizeOptions
    from kinema.inference.predictor import Predictor
    from kinema.localizations import Localization
    from kinema.predictions import Failure, Prediction

log = logging.getLogger("kinema")

_RENDER_FPS = 25
"""Frames a second that progress bars expect of a drawn video."""


@dataclass(frozen=True, kw_only=True)
class LocalizeConfig(EngineOptions):
    """Settings of a localization."""

    model: str | None = None
    """A checkpoint folder, a run folder with best/ in it, published weights by name, or a file of `kinema export`: a classifier
    of clips or frames, whose scores over time are grouped, or a network of `kinema train --task segments`. By default x3d_m,
    published weights for Kinetics-400 (licence Apache-2.0)."""
    settings_from: str | None = None
    """Labelled videos with located actions: choose on their training part how scores are grouped, and save that in the
    checkpoint's model.json, which is then used without this flag. Flags below are not saved."""
    settings_by: GroupingMeasure = "edit-f1"
    """Figure by which --settings-from chooses: edit-f1 (order, number and place of segments) or map (mean average precision)."""
    data_format: str = "auto"
    """Format of --settings-from, as `kinema train --format` takes it."""
    smooth: float | None = None
    """Seconds of the Gaussian (its standard deviation) that smooths scores over time; 0 is off."""
    threshold: float | None = None
    """Least score of a segment; default: that of the checkpoint's settings, else none for classes that exclude each other, 0.5
    for several labels, and 0.3 for networks of task segments (all of their segments in --format activitynet)."""
    min_segment: float | None = None
    """Shortest segment in seconds."""
    max_gap: float | None = None
    """Join segments of one label with a gap of at most this many seconds."""
    background: tuple[str, ...] = ()
    """Labels that are no actions and are never answered, such as no_action."""
    step: float | None = None
    """Seconds between predictions; default: an eighth of a clip's length, from 0.1 to 0.5 s."""
    window: float | None = None
    """For networks that spread their frames: seconds of video in a clip."""
    crops: int = 1
    """Crops of each clip: 1 (centre) or 3 (left, centre, right)."""
    stats: bool = False
    """Say for each label how often it happens, how long, first and last, and the gaps."""
    format: LocalizationFormat = "table"
    """Format of the output and of the files in --out: elan (.eaf), boris (.tsv), pictures of the timeline (png, svg, pdf), and,
    in one file for all videos, activitynet (a submission) and fiftyone (a data set that FiftyOne imports)."""
    json: bool = False
    """Print JSON: one document for one video, one line each for several; the same as --format json."""
    out: str | None = None
    """Folder for report.html and a file for each video, in --format (json by default)."""
    render: str | None = None
    """Draw the segments onto the video: a file such as out.mp4, or a folder for several videos."""
    feature_cache: str | None = None
    """For networks of task segments: a folder that keeps features, so that a run that was stopped continues where it was."""
    fast_seek: FastSeek = "none"
    """Decode fewer frames: leave out those that no other frame refers to (nonref), or all but keyframes. This is faster and
    changes scores: see `predict` in the documentation."""
    image_fps: float | None = None
    """Take each folder of pictures as one video of this frame rate."""

    def __post_init__(self) -> None:
        check_settings({"batch_size": self.batch_size}, 1)
        check_settings({"step": self.step, "window": self.window}, 1e-3)
        check_settings({"image_fps": self.image_fps}, 1e-3, 1e4)
        check_settings({"smooth": self.smooth, "min_segment": self.min_segment, "max_gap": self.max_gap}, 0, 1e9)
        check_settings({"threshold": self.threshold}, -1e9, 1e9)
        check_crops(self.crops)

    @property
    def printed(self) -> LocalizationFormat:
        """The format of standard output."""
        return "json" if self.json else self.format

    @property
    def recorded(self) -> dict[str, object]:
        """The settings that a stopped command must share to be continued."""
        left_out = ("json", "out", "format", "model", "settings_from", "settings_by", "data_format", "feature_cache")
        return {name: value for name, value in asdict(self).items() if name not in left_out} | {"format": self.printed}

    @property
    def options(self) -> LocalizeOptions:
        """The options of each video."""
        from kinema.inference.options import LocalizeOptions

        return LocalizeOptions(
            smoothing_s=self.smooth, threshold=self.threshold, min_segment_s=self.min_segment, max_gap_s=self.max_gap,
            background=self.background or None, step_s=self.step, window_s=self.window, num_crops=self.crops,
            fast_seek=self.fast_seek, image_fps=self.image_fps or IMAGE_FPS, feature_cache=self.feature_cache,
        )  # fmt: skip


def localize(paths: Sequence[str] = (), config: LocalizeConfig = LocalizeConfig()) -> int:
    """Find which actions happen in videos, and when.

    Takes files, patterns, folders (with all below) and `-` for a list of paths on standard input. A video without any action is a
    normal answer. A file that cannot be read is named and does not end the run; the exit status is then 1.

    Examples:
        kinema localize match.mp4 --model runs/slow_fusion-1

        kinema localize match.mp4 --model runs/slow_fusion-1 --threshold 0.6 --min-segment 1 --background no_action

        kinema localize match.mp4 --model runs/slow_fusion-1 --settings-from matches.csv

        kinema localize films/ --model runs/segments_one_stage-1 --out found/ --format elan --feature-cache features/

        kinema localize films/ --model runs/segments_one_stage-1 --format activitynet > submission.json

        kinema localize match.mp4 --model runs/slow_fusion-1 --stats --render located.mp4

    Args:
        paths: files, patterns, folders, or `-`.
    """
    from kinema.predictions import Failure

    if not paths and not config.settings_from:
        raise UsageError("nothing to localize", do="name a video, a pattern or a folder")
    if config.model is None:
        from kinema.weights.published import DEFAULT, describe_default

        log.info("%s", describe_default())
        config = replace(config, model=DEFAULT)
    sources, failures = list_sources(paths, frame_folders=config.image_fps is not None) if paths else ([], [])
    count = len(sources) + len(failures)
    names = output_names(sources, paths)
    _check(config, names, count)
    predictor, status = None, 0
    if config.settings_from:
        predictor = _open_predictor(config)
        status = _choose(predictor, config)
    record = ResumeRecord(config.out, config.recorded, str(config.model))
    remaining = [path for path in sources if path not in record.done]
    if config.render:
        check_rendered(config.render, {path: names[path] for path in remaining}, count)
    results = _Results(config, names, count, record)
    for path, error in failures:  # before the network is loaded, so that a misspelt name is reported at once
        results.take(Failure(path, error))
    if remaining:
        predictor = predictor or _open_predictor(config)
    with record.resumable():
        results.locate(predictor, sources)
    if count:
        results.finish()
    return 1 if results.num_failed else status


def _check(config: LocalizeConfig, names: Mapping[str, Path], count: int) -> None:
    """Find wrong requests before the network is loaded."""
    from kinema.console.localization_printer import REPORT, file_names

    kind = config.printed
    if config.settings_from:
        from kinema.runs.choose_settings import card_to_change

        card_to_change(str(config.model))
    if config.out:
        own = RECORD if (Path(config.out) / RECORD).exists() else REPORT
        check_results(config.out, [REPORT, *file_names(kind, names)], own)
    elif kind in ("png", "svg", "pdf", "fiftyone"):
        raise UsageError("this format is written into files", f"--format {kind}", "give --out FOLDER")
    elif count > 1 and kind in ("srt", "vtt", "elan"):
        raise UsageError(f"{count} videos need a file each", f"--format {kind}", "give --out FOLDER")


def _open_predictor(config: LocalizeConfig) -> Predictor:
    """A trained network, or an exported file."""
    from kinema.engines.exported import is_exported, open_exported
    from kinema.inference.localizer import Localizer
    from kinema.inference.predictor import Predictor

    if is_exported(str(config.model)):
        predictor = Predictor(*open_exported(str(config.model), config))
    else:
        predictor = Predictor(*open_trained(str(config.model)), config)
    Localizer(predictor)  # reports another task before anything is read
    return predictor


def _choose(predictor: Predictor, config: LocalizeConfig) -> int:
    """Choose settings, say what they reach, and save them in the checkpoint; the exit status."""
    from kinema.datasets.located import open_located
    from kinema.inference.localizer import Localizer
    from kinema.runs.choose_settings import card_to_change, choose_settings, describe, save_grouping

    assert config.settings_from is not None
    data = open_located(config.settings_from, format=config.data_format, image_fps=config.image_fps or IMAGE_FPS)
    chosen = choose_settings(Localizer(predictor), data, config.options, config.settings_by, TerminalProgress())
    for failure in chosen.failures:
        log.error("%s", failure.error if failure.path in str(failure.error) else f"{failure.path}: {failure.error}")
    card = card_to_change(str(config.model))
    save_grouping(card, chosen.grouping)
    part = f"the {chosen.part} part" if chosen.part != "all" else "all videos"
    log.info("%s: settings chosen on %s and saved: %s", card, part, describe(chosen.grouping))
    predictor.card = replace(predictor.card, grouping=chosen.grouping)
    return 1 if chosen.failures else 0


class _Results:
    """Prints the outcome of each video, writes its files, and writes a report at the end.

    Args:
        config: settings of the localization.
        names: where the outputs of each video go; see `output_names`.
        count: number of all inputs, with those that lead to no file.
        record: of the videos that are done.
    """

    def __init__(self, config: LocalizeConfig, names: Mapping[str, Path], count: int, record: ResumeRecord) -> None:
        from kinema.console.localization_printer import LocalizationFiles, LocalizationPrinter

        self.config, self.names, self.count, self.record, self.num_failed = config, names, count, record, 0
        self.print = LocalizationPrinter(
            config.printed, single=count == 1, to_files=bool(config.out), stats=config.stats
        )
        self.files = LocalizationFiles(config.out, config.printed, names, stats=config.stats) if config.out else None

    def locate(self, predictor: Predictor | None, sources: Sequence[str]) -> None:
        """Take each outcome, from the record or from the network, in the order of the videos."""
        remaining = [path for path in sources if path not in self.record.done]
        if len(remaining) < len(sources):
            log.info(
                "%d of %d videos were done before; their results are kept", len(sources) - len(remaining), self.count
            )
        fresh = iter(()) if predictor is None else self._fresh(predictor, remaining)
        with TerminalProgress().count("localizing", len(remaining) if len(remaining) > 1 else 0) as advance:
            for path in sources:
                done = self.record.done.get(path)
                self.take(next(fresh) if done is None else self._again(done))
                advance(done is None)

    def _fresh(self, predictor: Predictor, sources: Sequence[str]) -> Iterator[Localization | Failure]:
        options = self.config.options
        if options.threshold is None and self.config.printed == "activitynet" and predictor.card.task == "segments":
            options = replace(options, threshold=0.0)  # a benchmark ranks all segments, however low their scores
        return predictor.localize_many(sources, options, str(self.config.model))

    def _again(self, prediction: Prediction) -> Localization:
        """The result of a video that an earlier command with the same settings had finished."""
        from kinema.inference.localizer import WAYS
        from kinema.localizations import Localization
        from kinema.weights.open import trained_card

        model = str(self.config.model)
        way = "clips" if prediction.timeline is not None else WAYS[trained_card(model).variant]
        return Localization(prediction, model, way)

    def take(self, outcome: Localization | Failure) -> None:
        """Print one outcome, and write its files."""
        from kinema.predictions import Failure

        self.print(outcome)
        error = outcome.error if isinstance(outcome, Failure) else self._render(outcome)
        if self.files:
            self.files.add(outcome)
        if not isinstance(outcome, Failure) and outcome.path not in self.record.done:
            self.record.add(outcome.prediction)
        if error is None and not isinstance(outcome, Failure) and outcome.damage:
            do = "the answer is for what is left; copy it again"
            error = UnreadableVideo(outcome.damage, outcome.path, do)
        if error is not None:
            self.num_failed += 1
            log.error("%s", error if outcome.path in str(error) else f"{outcome.path}: {error}")

    def _render(self, localization: Localization) -> KinemaError | None:
        """Draw the segments onto the video; returns the error of that."""
        config = self.config
        if not config.render or localization.path in self.record.done:
            return None
        from kinema.inference.render import SegmentPainter, render

        path = rendered_path(config.render, self.names[localization.path], single=len(self.names) == 1)
        num_frames = round(localization.span.duration_s * _RENDER_FPS)
        try:
            with TerminalProgress().count(f"drawing {path.name}", num_frames) as advance:
                render(localization.prediction, path, advance, config.image_fps or IMAGE_FPS, SegmentPainter)
        except VideoError as error:
            return error
        log.info("%s: written", path)
        return None

    def finish(self) -> None:
        """Print and write what all videos have in common, and log the number of videos."""
        self.print.finish()
        if self.files:
            report = self.files.finish(str(self.config.model))
            self.record.finish()
            log.info("report: %s", report)
        if self.count > 1 and (self.config.out or self.config.printed == "table"):
            log.info("%d videos, %s", self.count, f"{self.num_failed} failed" if self.num_failed else "all well")
