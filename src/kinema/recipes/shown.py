"""How predictions are shown: on standard output as they come, and as a report in the end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinema.inference.outcome import Failure
from kinema.recipes.terminal import plain_console

if TYPE_CHECKING:
    from rich.console import Console

    from kinema.recipes.predict import PredictConfig
    from kinema.types import Prediction

MOST_IN_REPORT = 30
"""A report draws the timelines of so many videos; all are in its table."""

_SEEN = {"nonref": "seen: frames that others refer to", "keyframes": "seen: keyframes"}


class Shown:
    """Prints outcomes as they come."""

    def __init__(self, config: PredictConfig, *, single: bool) -> None:
        self.config, self.single = config, single
        self.console = plain_console()
        self.headed = False

    def __call__(self, outcome: Prediction | Failure) -> None:
        """Print one; a failure is printed as JSON only."""
        kind = self.config.printed
        if kind == "json":
            print(json.dumps(_as_json(outcome, self.config.num_labels), ensure_ascii=False), flush=True)
        elif isinstance(outcome, Failure):
            return
        elif kind == "table":
            (_print_table if self.single else _print_line)(outcome, self.config, self.console)
        elif not self.config.out:
            self._print_text(outcome.to_text(kind))  # type: ignore[arg-type]

    def _print_text(self, text: str) -> None:
        if self.config.printed == "csv" and self.headed:
            text = text.partition("\n")[2]
        self.headed = True
        print(text, end="", flush=True)


def _as_json(outcome: Prediction | Failure, top: int) -> dict[str, Any]:
    return outcome.to_json() if isinstance(outcome, Failure) else outcome.to_json(top)


def _print_table(prediction: Prediction, config: PredictConfig, console: Console) -> None:
    from rich.table import Table

    length_s = prediction.span.duration_s
    length = f"{length_s:.1f} s" if length_s >= 1 else f"{length_s:.2f} s"
    console.print(f"{prediction.path}  {length}{_seen(prediction)}", style="bold", soft_wrap=True)
    best = Table("label", box=None, pad_edge=False)
    best.add_column("score", justify="right")
    for label, score in prediction.top(config.num_labels):
        best.add_row(label, f"{score:.1%}")
    console.print(best)
    if len(prediction.segments) > 1:
        table = Table("from", "to", "label", box=None, pad_edge=False)
        table.add_column("score", justify="right")
        for segment in prediction.segments:
            times = (_clock(segment.span.start_s), _clock(segment.span.end_s))
            table.add_row(*times, segment.label, f"{segment.score:.1%}")
        console.print()
        console.print(table)
    if prediction.timeline is not None and len(prediction.timeline) > 1:
        console.print(f"\nlabel changes a minute: {changes(prediction)}")


def changes(prediction: Prediction) -> str:
    """How often the label changes, with and without the rolling average."""
    track = prediction.timeline
    assert track is not None
    raw = f"{track.changes_per_minute(smoothed=False):.1f}"
    if track.rolling == 1:
        return f"{raw} (try --rolling 5 if it flickers)" if track.changes_per_minute() > 20 else raw
    return f"{track.changes_per_minute():.1f} with a rolling average of {track.rolling}, {raw} without"


def _print_line(prediction: Prediction, config: PredictConfig, console: Console) -> None:
    best = ", ".join(f"{label}  {score:.1%}" for label, score in prediction.top(config.top or 1))
    track, more = prediction.timeline, ""
    if track is not None and len(prediction.segments) > 1:
        more = f"  {len(prediction.segments)} segments, {track.changes_per_minute():.1f} label changes a minute"
    console.print(f"{prediction.path}  {best}{more}{_seen(prediction)}", soft_wrap=True)


def _seen(prediction: Prediction) -> str:
    """Which frames the prediction rests on, where it is not all that were wanted."""
    return f"  {_SEEN[prediction.fast_seek]}" if prediction.fast_seek in _SEEN else ""


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{seconds:04.1f}" if hours else f"{minutes}:{seconds:04.1f}"


def write_report(outcomes: list[Prediction | Failure], config: PredictConfig) -> None:
    """Write report.html into `config.out`: a table of all videos, and the timelines of the first."""
    from kinema import charts
    from kinema.evaluation.report import Report

    predictions = [outcome for outcome in outcomes if not isinstance(outcome, Failure)]
    failed = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    count = f"{len(predictions)} video{'' if len(predictions) == 1 else 's'}"
    seen = f", {_SEEN[config.fast_seek]}" if config.fast_seek in _SEEN else ""
    report = Report("Predictions", f"{count}, {config.model or config.labels}{seen}").add_section("Videos")
    heads = ["video", "seconds", "label", "score", "segments", "changes a minute", "without rolling"]
    report.add_table(heads, [_row(prediction) for prediction in predictions], shares=("score",))
    if failed:
        rows = [[outcome.path, str(outcome.error)] for outcome in failed]
        report.add_section("Files that could not be read").add_table(["video", "error"], rows)
    drawn, top = predictions[:MOST_IN_REPORT], config.num_labels
    colours = _common_colours(drawn, top)
    for prediction in drawn:
        figure = charts.plot_prediction(prediction, top, colours)
        report.add_section(Path(prediction.path).name).add_figure(figure)
    report.write(Path(str(config.out)) / "report.html")


def _common_colours(predictions: Sequence[Prediction], top: int) -> dict[str, str]:
    """One colour for each class that some chart names, the plainest for the classes that are seen most."""
    from kinema import charts

    seen: Counter[str] = Counter()
    for prediction in predictions:
        seen.update(dict(prediction.top(top)))  # scores add up like counts
    return charts.class_colours([label for label, _ in seen.most_common()])


def _row(prediction: Prediction) -> list[object]:
    track = prediction.timeline
    assert track is not None
    (label, score), *_ = prediction.top(1)
    smooth, raw = track.changes_per_minute(), track.changes_per_minute(smoothed=False)
    length_s = round(prediction.span.duration_s, 1)
    return [prediction.path, length_s, label, score, len(prediction.segments), round(smooth, 1), round(raw, 1)]
