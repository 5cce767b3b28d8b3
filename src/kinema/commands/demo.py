"""`kinema demo`: what time is worth, shown offline in about two minutes on films that it draws itself.

Two sets of little films. In one only motion tells the classes apart: a patch moves left, right, up or down, turns, grows or
shrinks, and its place, angle and size at any moment are drawn from the same distribution in every class, so a still frame
cannot do better than chance. In the other every class has a shape and colour of its own and one still is enough.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kinema.console.evaluations import print_comparison
from kinema.console.progress import TerminalProgress
from kinema.console.tables import plain_console
from kinema.errors import OutputError, check_settings
from kinema.files import check_folder
from kinema.runs.compare import CompareConfig, Row, add_rows, run_comparison

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
FILM_FPS = 12
FILM_SCALE = 8
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
    """Folder for all that it makes."""
    motion_epochs: int = 12
    """Passes over the motion set."""
    appearance_epochs: int = 10
    """Passes over the appearance set."""
    per_class: int = 48
    """Training films of each of the 8 classes; a third as many again are for validation."""
    seed: int = 0
    """Start of every random choice."""
    overwrite: bool = False
    """Replace what an earlier demonstration left in the folder."""
    json: bool = False
    """Print the results as JSON."""

    def __post_init__(self) -> None:
        counts = ("motion_epochs", "appearance_epochs", "per_class")
        check_settings({name: getattr(self, name) for name in counts}, 1)


def demo(config: DemoConfig = DemoConfig()) -> int:
    """See what time is worth: draws films, trains four networks on them, predicts, and writes a report.

    Needs no data and no network; takes about two minutes on two cores.

    Examples:
        kinema demo

        kinema demo --out /tmp/demo --motion-epochs 30
    """
    started = time.monotonic()
    folder = Path(config.out)
    _clear(folder, config.overwrite)
    _draw(folder, config)
    results: dict[str, list[Row]] = {kind: _compare(kind, folder, config) for kind in KINDS}
    prediction, film = _predict_film(folder, config)
    _write_report(folder, results, prediction, film)
    seconds = time.monotonic() - started
    if config.json:
        print(json.dumps(_as_json(results, prediction, folder, seconds)))
    else:
        _print(results, prediction, folder, seconds)
    return 0


def _clear(folder: Path, overwrite: bool) -> None:
    check_folder(folder)
    if folder.exists() and any(folder.iterdir()):
        if not overwrite:
            raise OutputError("the folder holds something already", folder, "give another --out, or --overwrite")
        if not (folder / "videos").is_dir():
            raise OutputError("the folder holds something else than a demonstration", folder, "give another --out")
        shutil.rmtree(folder)


def _draw(folder: Path, config: DemoConfig) -> None:
    from kinema.datasets.synthetic import write_motion_set

    for kind in KINDS:
        validation = max(config.per_class // 3, 1)
        total = NUM_CLASSES * (config.per_class + validation)
        with TerminalProgress().count(f"drawing films: {kind}", total) as advance:
            write_motion_set(
                folder / "videos" / kind, config.per_class, validation, config.seed, kind, advance=advance
            )  # fmt: skip


def _compare(kind: str, folder: Path, config: DemoConfig) -> list[Row]:
    from kinema.datasets import open_data

    log.info("films of %s (%s): four networks learn from them", kind, TITLES[kind][0].lower() + TITLES[kind][1:])
    data = open_data(folder / "videos" / kind)
    settings = CompareConfig(
        models=MODELS, epochs=config.motion_epochs if kind == "motion" else config.appearance_epochs, batch_size=16,
        lr=0.01, augment="none", clips=5, seed=config.seed, cache=str(folder / "cache"), workers=0,
    )  # fmt: skip
    return run_comparison(data, MODELS.split(","), settings, folder / kind, progress=TerminalProgress())


def _predict_film(folder: Path, config: DemoConfig) -> tuple[Prediction, Path]:
    """Draw a longer film of several motions, and let slow fusion say what happens when."""
    from kinema.inference.predictor import load
    from kinema.inference.render import render

    film = folder / "film.mp4"
    _draw_film(film, config.seed)
    predictor = load(folder / "motion" / "slow_fusion_tiny" / "best")
    prediction = predictor(film, rolling=7, step_s=0.25)
    rendered = folder / "film_rendered.mp4"
    render(prediction, rendered)
    prediction.save(folder / "film.json")
    prediction.save(folder / "film.png")
    return prediction, rendered


def _draw_film(path: Path, seed: int) -> None:
    import numpy as np

    from kinema.video.synthetic import MOTIONS, draw_motion
    from kinema.video.writer import VideoWriter

    rng = np.random.default_rng([seed, 99])
    side = 48 * FILM_SCALE
    with VideoWriter(path, fps=FILM_FPS, size=(side, side)) as writer:
        for label in rng.permutation(MOTIONS)[:6]:
            for frame in draw_motion(str(label), rng, num_frames=48, laps=2):
                writer.write(frame.repeat(FILM_SCALE, 0).repeat(FILM_SCALE, 1))


def _write_report(folder: Path, results: dict[str, list[Row]], prediction: Prediction, rendered: Path) -> None:
    from kinema import charts
    from kinema.evaluation.report import Report

    report = Report("What time is worth", "single frame, late, early and slow fusion on films drawn by kinema demo")
    for kind, rows in results.items():
        report.add_section(TITLES[kind])
        if kind == "motion":
            report.add_text(WHY)
        add_rows(report, rows)
        for row in rows:
            if row.macs is not None and row.evaluation.confusion is not None:
                labels = tuple(row.evaluation.labels)
                report.add_figure(charts.confusion_matrix(row.evaluation.confusion, labels), title=row.name)
        for name in MODELS.split(","):
            report.add_figure(charts.curves(_history(folder / kind / name)), title=f"Training of {name}")
    report.add_section("A longer film, predicted by slow fusion")
    report.add_text(flicker(prediction))
    report.add_figure(prediction.plot()).add_video(rendered, "the film with its labels drawn in")
    report.write(folder / "report.html")


def _history(run: Path) -> list[dict[str, float]]:
    import csv

    with (run / "epochs.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def flicker(prediction: Prediction) -> str:
    """One line on how much the rolling average calms the labels."""
    timeline = prediction.timeline
    if timeline is None:
        return "The film is one clip long."
    return (
        f"Label changes a minute: {timeline.changes_per_minute(smoothed=False):.0f} without, "
        f"{timeline.changes_per_minute():.0f} with a rolling average of {timeline.rolling} predictions."
    )


def _as_json(results: dict[str, list[Row]], prediction: Prediction, folder: Path, seconds: float) -> dict[str, Any]:
    return {
        **{kind: [row.to_json() for row in rows] for kind, rows in results.items()},
        "film": prediction.to_json(),
        "report": str(folder / "report.html"),
        "seconds": round(seconds, 1),
    }


def _print(results: dict[str, list[Row]], prediction: Prediction, folder: Path, seconds: float) -> None:
    console = plain_console()
    for kind, rows in results.items():
        print_comparison(rows, TITLES[kind])
    console.print(f"\nWhy: {WHY}\n")
    console.print(f"A film of {prediction.span.duration_s:.0f} s, as slow fusion sees it:")
    for segment in prediction.segments:
        span = segment.span
        console.print(f"  {span.start_s:6.2f} - {span.end_s:6.2f} s  {segment.label} ({segment.score:.0%})")
    console.print(flicker(prediction))
    console.print(f"\n{seconds:.0f} s. Look at it: {folder / 'report.html'}", soft_wrap=True)
