"""`kinema detect`: who is where in videos, and when, and with a network for boxes also what each person does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.choices import Precision, TrackFormat
from kinema.console.inputs import list_sources
from kinema.console.outputs import check_rendered, check_results, output_names, rendered_path
from kinema.console.progress import TerminalProgress, open_trained
from kinema.errors import KinemaError, UnreadableVideo, UsageError, VideoError, check_settings
from kinema.types import IMAGE_FPS

if TYPE_CHECKING:
    from kinema.inference.detectors.boxes_file import KeptBoxes
    from kinema.inference.detectors.contract import Detector
    from kinema.inference.track_videos import DetectOptions
    from kinema.predictions import Failure
    from kinema.tracks import VideoTracks

    Label = Callable[[VideoTracks], VideoTracks]

log = logging.getLogger("kinema")

_RENDER_FPS = 25
"""Frames a second that progress bars expect of a drawn video."""


@dataclass(frozen=True, kw_only=True)
class DetectConfig:
    """Settings of a detection."""

    detector: str | None = None
    """What finds persons: a network of torchvision by name, an .onnx file of FastestDet, YOLOX or NanoDet, or boxes from a file:
    MOT (.txt), AVA (.csv), or JSON of this command. By default fasterrcnn_mobilenet_v3_large_320_fpn (licence BSD-3-Clause)."""
    weights: str | None = None
    """For a network of torchvision: a file with its state dict, in place of the published weights, which are downloaded once."""
    classes: tuple[str, ...] = ("person",)
    """Classes of the detector that are found and followed, such as person or "sports ball"."""
    model: str | None = None
    """Say what each person does: a run of `kinema train --task boxes`, slow_r50_detection or slowfast_r50_detection."""
    fps: float | None = None
    """Frames a second in which persons are looked for; default: all. A lower rate is faster."""
    min_score: float | None = None
    """Boxes begin a track from this score on, and continue one from a third of it on; default: the detector's own, 0.3 to 0.5."""
    patience: float = 1.0
    """A person who is not found for longer than these seconds comes back as another one."""
    min_boxes: int = 2
    """Leave out persons with fewer boxes."""
    min_label_score: float = 0.5
    """With --model: least score of a label."""
    every: float = 1.0
    """With --model: seconds between the times at which a person's labels are scored."""
    stats: bool = False
    """Say for each person how long, how often, first and last seen, and the same for each label."""
    format: TrackFormat = "table"
    """Format of the output and of the files in --out: json, ava (CSV), mot (MOTChallenge), coco (JSON), cvat (XML 1.1)."""
    json: bool = False
    """Print JSON: one document for one video, one line each for several; the same as --format json."""
    out: str | None = None
    """Folder for report.html and a file for each video, in --format (json by default)."""
    render: str | None = None
    """Draw boxes onto the video: a file such as out.mp4, or a folder for several videos."""
    device: str = "auto"
    """Where networks run: auto, cpu, cuda, cuda:1. ONNX files run on the CPU."""
    precision: Precision = "auto"
    """Number format of --model."""
    image_fps: float | None = None
    """Take each folder of pictures as one video of this frame rate."""

    def __post_init__(self) -> None:
        check_settings({"fps": self.fps, "image_fps": self.image_fps}, 1e-3, 1e4)
        check_settings({"min_score": self.min_score}, 1e-3, 1)
        check_settings({"min_label_score": self.min_label_score}, 0, 1)
        check_settings({"patience": self.patience}, 0, 1e6)
        check_settings({"every": self.every}, 1e-3, 1e6)
        check_settings({"min_boxes": self.min_boxes}, 1)

    @property
    def printed(self) -> TrackFormat:
        """The format of standard output."""
        return "json" if self.json else self.format

    @property
    def options(self) -> DetectOptions:
        """The options of each video."""
        from kinema.inference.track_videos import DetectOptions

        return DetectOptions(
            fps=self.fps, min_score=self.min_score, kinds=self.classes, patience_s=self.patience,
            min_boxes=self.min_boxes, image_fps=self.image_fps or IMAGE_FPS,
        )  # fmt: skip


def detect(paths: Sequence[str], config: DetectConfig = DetectConfig()) -> int:
    """Find persons in videos and follow them.

    Takes files, patterns, folders (with all below) and `-` for a list of paths on standard input. A video without a person is a
    normal answer. A file that cannot be read is named and does not end the run; the exit status is then 1.

    Examples:
        kinema detect match.mp4

        kinema detect match.mp4 --detector yolox_nano_416.onnx --stats --render boxes.mp4

        kinema detect match.mp4 --model runs/slow_r50-1 --json > match.json

        kinema detect videos/ --fps 5 --out found/ --format cvat

        kinema detect match.mp4 --detector match.json --model slowfast_r50_detection --render labelled.mp4

    Args:
        paths: files, patterns, folders, or `-`.
    """
    from kinema.predictions import Failure

    sources, failures = list_sources(paths, frame_folders=config.image_fps is not None)
    count = len(sources) + len(failures)
    names = output_names(sources, paths)
    _check(config, names, count)
    results = _Results(config, names, count)
    for path, error in failures:  # before a network is loaded, so that a misspelt name is reported at once
        results.take(Failure(path, error))
    if sources:
        from kinema.inference.track_videos import track_videos

        label = _open_labels(config) if config.model else None
        detector = _open_detector(config)
        with TerminalProgress().count("detecting", len(sources) if len(sources) > 1 else 0) as advance:
            for outcome in track_videos(sources, detector, config.options):
                results.take(_labelled(outcome, label) if label else outcome)
                advance(1)
    results.finish()
    return 1 if results.num_failed else 0


def _check(config: DetectConfig, names: Mapping[str, Path], count: int) -> None:
    """Find wrong requests before a network is loaded."""
    from kinema.console.track_printer import REPORT, file_names

    kind = config.printed
    if config.out:
        check_results(config.out, [REPORT, *file_names(kind, names)], REPORT)
    elif count > 1 and kind in ("mot", "coco", "cvat"):
        raise UsageError(f"{count} videos need a file each", f"--format {kind}", "give --out FOLDER")
    if config.render:
        check_rendered(config.render, names, count)


def _open_detector(config: DetectConfig) -> Detector | KeptBoxes:
    from kinema.inference.detectors.opening import DEFAULT, open_detector

    if config.detector is None:
        log.info("no --detector given: torchvision's %s, which was trained on COCO (licence BSD-3-Clause)", DEFAULT)
    name = config.detector or DEFAULT
    with TerminalProgress().download(name) as progress:
        return open_detector(name, config.weights, config.device, progress)


def _open_labels(config: DetectConfig) -> Label:
    """A function that labels the tracks of a video."""
    from dataclasses import replace

    from kinema.inference.box_actions import BoxActionOptions, box_network, score_tracks

    network, card = open_trained(str(config.model))
    box_network(network, card)  # reports another task before anything is read
    options = BoxActionOptions(
        every_s=config.every, min_score=config.min_label_score, device=config.device, precision=config.precision,
        image_fps=config.image_fps or IMAGE_FPS,
    )  # fmt: skip

    def label(video: VideoTracks) -> VideoTracks:
        tracks = score_tracks(network, card, video.path, video.tracks, options)
        return replace(video, tracks=tracks, classes=tuple(card.labels))

    return label


def _labelled(outcome: VideoTracks | Failure, label: Label) -> VideoTracks | Failure:
    """The outcome with labels, or the failure of labelling it."""
    from kinema.predictions import Failure

    if isinstance(outcome, Failure):
        return outcome
    try:
        return label(outcome)
    except VideoError as error:
        return Failure(outcome.path, error)


class _Results:
    """Prints the outcome of each video, writes its files, and writes a report at the end.

    Args:
        config: settings of the detection.
        names: where the outputs of each video go; see `output_names`.
        count: number of all inputs, with those that lead to no file.
    """

    def __init__(self, config: DetectConfig, names: Mapping[str, Path], count: int) -> None:
        from kinema.console.track_printer import TrackFiles, TrackPrinter

        self.config, self.names, self.count, self.num_failed = config, names, count, 0
        self.print = TrackPrinter(config.printed, single=count == 1, to_files=bool(config.out), stats=config.stats)
        self.files = TrackFiles(config.out, config.printed, names, stats=config.stats) if config.out else None

    def take(self, outcome: VideoTracks | Failure) -> None:
        """Print one outcome, and write its files."""
        from kinema.predictions import Failure

        self.print(outcome)
        if self.files:
            self.files.write(outcome)
        error = outcome.error if isinstance(outcome, Failure) else self._finish_video(outcome)
        if error is not None:
            self.num_failed += 1
            log.error("%s", error if outcome.path in str(error) else f"{outcome.path}: {error}")

    def _finish_video(self, video: VideoTracks) -> KinemaError | None:
        """Say if nobody was found, and draw the boxes; returns the error of the drawing, or that of the video."""
        config = self.config
        if not video.tracks:
            log.info("%s", nobody(video))
        if config.render:
            from kinema.inference.render_tracks import render_tracks

            path = rendered_path(config.render, self.names[video.path], single=self.count == 1)
            num_frames = round(video.info.duration_s * _RENDER_FPS)
            try:
                with TerminalProgress().count(f"drawing {path.name}", num_frames) as advance:
                    render_tracks(video, path, advance, config.image_fps or IMAGE_FPS)
            except VideoError as error:
                return error
            log.info("%s: written", path)
        if not video.damage:
            return None
        return UnreadableVideo(video.damage, video.path, "the tracks are those of what is left; copy it again")

    def finish(self) -> None:
        """Write the report, and log the number of videos."""
        if self.files:
            log.info("report: %s", self.files.report(self.config.detector or "torchvision"))
        if self.count > 1 and (self.config.out or self.config.printed == "table"):
            log.info("%d videos, %s", self.count, f"{self.num_failed} failed" if self.num_failed else "all well")


def nobody(video: VideoTracks) -> str:
    """What to try if a video has no track, on one line."""
    frames = f"{video.num_frames} frame{'' if video.num_frames == 1 else 's'}"
    if video.best_score >= video.min_score:
        return f"{video.path}: nobody was found in two of {frames} in a row: give a higher --fps, or --min-boxes 1"
    best = (
        f"the best box has a score of {video.best_score:.2f}, below {video.min_score:g}"
        if video.best_score
        else "no box"
    )
    do = "give a lower --min-score, or another --detector: small ones miss people who are far away, hidden or upside down"
    return f"{video.path}: nobody was found in {frames} ({best}): {do}"
