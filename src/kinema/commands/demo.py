"""`kinema demo`: what time is worth, shown offline in about two minutes on videos that it draws itself.

There are two sets of small videos. In the first only motion tells the classes apart: a patch moves left, right, up or down,
rotates, grows or shrinks. Its place, angle and size at any moment have the same distribution in every class, so a single frame
cannot do better than chance. In the second every class has its own shape and colour, and one frame is enough.
"""

from __future__ import annotations

import csv
import json
import logging
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kinema.console.evaluations import print_comparison
from kinema.console.progress import TerminalProgress
from kinema.console.tables import plain_console
from kinema.errors import OutputError, check_settings
from kinema.files import check_folder
from kinema.runs.compare import CompareConfig, run_comparison
from kinema.runs.comparison import Comparison, add_results

if TYPE_CHECKING:
    from kinema.predictions import Prediction

log = logging.getLogger("kinema")

MODELS = "single_frame_tiny,late_fusion_tiny,early_fusion_tiny,slow_fusion_tiny"
NUM_CLASSES = 8
KINDS: tuple[Literal["motion", "appearance"], ...] = ("motion", "appearance")
TITLES = {
    "motion": "Only motion tells the classes apart",
    "appearance": "One still frame is enough",
}
LONG_VIDEO_FPS = 12
LONG_VIDEO_SCALE = 8
WHY = (
    "Every frame of the motion set looks the same whatever the class: the patch is anywhere, at any angle and of any size. "
    "Single frame therefore guesses (1 of 8 is 12.5 %) and averaging more frames does not help, because their order is "
    "lost. Networks that see frames together can compare them. Slow fusion does it step by step: its first filters see how a "
    "few pixels move in three neighbouring frames, wherever and whenever that happens, and later layers collect it."
)


@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    """Settings of the demonstration."""

    out: str = "kinema-demo"
    """Folder for all results."""
    motion_epochs: int = 12
    """Passes over the motion set."""
    appearance_epochs: int = 10
    """Passes over the appearance set."""
    per_class: int = 48
    """Training videos of each of the 8 classes; there are a third as many for validation."""
    seed: int = 0
    """Seed of every random choice."""
    overwrite: bool = False
    """Replace an earlier demonstration in the folder."""
    json: bool = False
    """Print the results as JSON."""

    def __post_init__(self) -> None:
        counts = ("motion_epochs", "appearance_epochs", "per_class")
        check_settings({name: getattr(self, name) for name in counts}, 1)


@dataclass(frozen=True)
class Demonstration:
    """The results: comparisons by kind of set, and the prediction of a longer video, with its labels in `rendered`."""

    folder: Path
    results: dict[str, Comparison]
    prediction: Prediction
    rendered: Path

    def to_json(self) -> dict[str, object]:
        """A plain dictionary."""
        return {
            **{kind: [one.to_json() for one in found.results] for kind, found in self.results.items()},
            "film": self.prediction.to_json(),
            "report": str(self.folder / "report.html"),
        }

    def print_results(self) -> None:
        """Print tables, the explanation and the segments of the longer video."""
        console = plain_console()
        for kind, comparison in self.results.items():
            print_comparison(comparison, TITLES[kind])
            console.print()
        console.print(f"\nWhy: {WHY}\n")
        console.print(f"A video of {self.prediction.span.duration_s:.0f} s, as slow fusion sees it:")
        for segment in self.prediction.segments:
            span = segment.span
            console.print(f"  {span.start_s:6.2f} - {span.end_s:6.2f} s  {segment.label} ({segment.score:.0%})")
        console.print(flicker(self.prediction))

    def write_report(self) -> None:
        """Write report.html."""
        from kinema import charts
        from kinema.evaluation.report import Report

        report = Report(
            "What time is worth", "single frame, late, early and slow fusion on videos drawn by kinema demo"
        )
        for kind, comparison in self.results.items():
            report.add_section(TITLES[kind])
            if kind == "motion":
                report.add_text(WHY)
            add_results(report, comparison)
            for result in comparison.networks:
                if result.evaluation.confusion is not None:
                    labels = tuple(result.evaluation.labels)
                    report.add_figure(charts.confusion_matrix(result.evaluation.confusion, labels), title=result.name)
            for name in MODELS.split(","):
                with (self.folder / kind / name / "epochs.csv").open(newline="") as file:
                    history = [
                        {key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)
                    ]
                report.add_figure(charts.curves(history), title=f"Training of {name}")
        report.add_section("A longer video, predicted by slow fusion")
        report.add_text(flicker(self.prediction))
        report.add_figure(self.prediction.plot()).add_video(self.rendered, "the video with its labels drawn in")
        report.write(self.folder / "report.html")


def demo(config: DemoConfig = DemoConfig()) -> int:
    """See what time is worth: draws videos, trains four networks on them, predicts, and writes a report.

    Needs no data and no network; takes about two minutes on two cores.

    Examples:
        kinema demo

        kinema demo --out /tmp/demo --motion-epochs 30
    """
    from kinema.datasets import open_data
    from kinema.datasets.synthetic import write_motion_set

    started, folder = time.monotonic(), Path(config.out)
    _clear(folder, config.overwrite)
    num_validation = max(config.per_class // 3, 1)
    for kind in KINDS:
        total = NUM_CLASSES * (config.per_class + num_validation)
        with TerminalProgress().count(f"drawing videos: {kind}", total) as advance:
            write_motion_set(
                folder / "videos" / kind, config.per_class, num_validation, config.seed, kind, advance=advance
            )  # fmt: skip
    results: dict[str, Comparison] = {}
    for kind, epochs in (("motion", config.motion_epochs), ("appearance", config.appearance_epochs)):
        title = TITLES[kind][0].lower() + TITLES[kind][1:]
        log.info("videos of %s (%s): four networks learn from them", kind, title)
        settings = CompareConfig(
            models=MODELS, epochs=epochs, batch_size=16, lr=0.01, augment="none", clips=5, seed=config.seed,
            cache=str(folder / "cache"), workers=0,
        )  # fmt: skip
        data = open_data(folder / "videos" / kind)
        results[kind] = run_comparison(data, settings.names, settings, folder / kind, progress=TerminalProgress())
    demonstration = Demonstration(folder, results, *_predict_long_video(folder, config.seed))
    demonstration.write_report()
    seconds = time.monotonic() - started
    if config.json:
        print(json.dumps({**demonstration.to_json(), "seconds": round(seconds, 1)}))
    else:
        demonstration.print_results()
        plain_console().print(f"\n{seconds:.0f} s. Look at it: {folder / 'report.html'}", soft_wrap=True)
    return 0


def _clear(folder: Path, overwrite: bool) -> None:
    """Remove an earlier demonstration, and never anything else."""
    check_folder(folder)
    if folder.exists() and any(folder.iterdir()):
        if not overwrite:
            raise OutputError("the folder holds something already", folder, "give another --out, or --overwrite")
        if not (folder / "videos").is_dir():
            raise OutputError("the folder holds something else than a demonstration", folder, "give another --out")
        shutil.rmtree(folder)


def _predict_long_video(folder: Path, seed: int) -> tuple[Prediction, Path]:
    """Draw a longer video of several motions and predict it with slow fusion, also onto its frames."""
    import numpy as np

    from kinema.inference.predictor import load
    from kinema.inference.render import render
    from kinema.video.synthetic import MOTIONS, draw_motion
    from kinema.video.writer import VideoWriter

    path, rendered = folder / "film.mp4", folder / "film_rendered.mp4"
    rng = np.random.default_rng([seed, 99])
    side = 48 * LONG_VIDEO_SCALE
    with VideoWriter(path, fps=LONG_VIDEO_FPS, size=(side, side)) as writer:
        for label in rng.permutation(MOTIONS)[:6]:
            for frame in draw_motion(str(label), rng, num_frames=48, laps=2):
                writer.write(frame.repeat(LONG_VIDEO_SCALE, 0).repeat(LONG_VIDEO_SCALE, 1))
    predictor = load(folder / "motion" / "slow_fusion_tiny" / "best")
    prediction = predictor(path, rolling=7, step_s=0.25)
    render(prediction, rendered)
    prediction.save(folder / "film.json")
    prediction.save(folder / "film.png")
    return prediction, rendered


def flicker(prediction: Prediction) -> str:
    """How much the rolling average reduces the changes of the label, in one line."""
    timeline = prediction.timeline
    if timeline is None:
        return "The video is one clip long."
    return (
        f"Label changes a minute: {timeline.changes_per_minute(smoothed=False):.0f} without, "
        f"{timeline.changes_per_minute():.0f} with a rolling average of {timeline.rolling} predictions."
    )
