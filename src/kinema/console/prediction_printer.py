"""Predictions on standard output as they come, and as a report at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from kinema.choices import PredictionFormat
from kinema.console.tables import plain_console
from kinema.predictions import Failure, Prediction
from kinema.text import json_line

USUAL_TOP = 5
"""Labels of a video that are shown by default where there is room for several."""

MAX_TIMELINES = 30
"""Timelines in a report; its table has all videos."""

_FRAMES_SEEN = {"nonref": "seen: frames that others refer to", "keyframes": "seen: keyframes"}


class PredictionPrinter:
    """Prints predictions on standard output as they come.

    Args:
        kind: the format.
        top: labels shown for a video; None is 5, or the best one in the lines of several videos.
        single: whether there is one video only.
        to_files: whether predictions are also written to files; subtitles and CSV are then not printed.
    """

    def __init__(self, kind: PredictionFormat, top: int | None, *, single: bool, to_files: bool) -> None:
        self.kind, self.top, self.single, self.to_files = kind, top, single, to_files
        self.console = plain_console()
        self.has_header = False

    def __call__(self, outcome: Prediction | Failure) -> None:
        """Print one outcome; a failure is printed as JSON only."""
        if self.kind == "json":
            values = outcome.to_json() if isinstance(outcome, Failure) else outcome.to_json(self.top or USUAL_TOP)
            print(json_line(values), flush=True)
        elif isinstance(outcome, Failure):
            return
        elif self.kind == "table" and self.single:
            self._print_table(outcome)
        elif self.kind == "table":
            self._print_line(outcome)
        elif not self.to_files:
            text = outcome.to_text(self.kind)
            if self.kind == "csv" and self.has_header:
                text = text.partition("\n")[2]
            self.has_header = True
            print(text, end="", flush=True)

    def _print_table(self, prediction: Prediction) -> None:
        from rich.table import Table

        length_s = prediction.span.duration_s
        length = f"{length_s:.1f} s" if length_s >= 1 else f"{length_s:.2f} s"
        self.console.print(f"{prediction.path}  {length}{frames_seen(prediction)}", style="bold", soft_wrap=True)
        best = Table("label", box=None, pad_edge=False)
        best.add_column("score", justify="right")
        for label, score in prediction.top(self.top or USUAL_TOP):
            best.add_row(label, f"{score:.1%}")
        self.console.print(best)
        if len(prediction.segments) > 1:
            table = Table("from", "to", "label", box=None, pad_edge=False)
            table.add_column("score", justify="right")
            for segment in prediction.segments:
                times = (clock(segment.span.start_s), clock(segment.span.end_s))
                table.add_row(*times, segment.label, f"{segment.score:.1%}")
            self.console.print()
            self.console.print(table)
        timeline = prediction.timeline
        if timeline is not None and len(timeline) > 1:
            smooth, raw = timeline.changes_per_minute(), f"{timeline.changes_per_minute(smoothed=False):.1f}"
            changes = f"{smooth:.1f} with a rolling average of {timeline.rolling}, {raw} without"
            if timeline.rolling == 1:
                changes = f"{raw} (try --rolling 5 if it flickers)" if smooth > 20 else raw
            self.console.print(f"\nlabel changes a minute: {changes}")

    def _print_line(self, prediction: Prediction) -> None:
        best = ", ".join(f"{label}  {score:.1%}" for label, score in prediction.top(self.top or 1))
        timeline, more = prediction.timeline, ""
        if timeline is not None and len(prediction.segments) > 1:
            changes = f"{timeline.changes_per_minute():.1f} label changes a minute"
            more = f"  {len(prediction.segments)} segments, {changes}"
        self.console.print(f"{prediction.path}  {best}{more}{frames_seen(prediction)}", soft_wrap=True)


def frames_seen(prediction: Prediction) -> str:
    """Which frames were decoded, if --fast-seek left some out."""
    return f"  {_FRAMES_SEEN[prediction.fast_seek]}" if prediction.fast_seek in _FRAMES_SEEN else ""


def clock(seconds: float) -> str:
    """Hours if there are some, minutes, seconds and tenths."""
    minutes, seconds = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{seconds:04.1f}" if hours else f"{minutes}:{seconds:04.1f}"


def write_report(outcomes: Sequence[Prediction | Failure], path: Path, model: str, top: int) -> None:
    """Write a report: a table of all videos, and the timelines of the first ones.

    Args:
        outcomes: of all videos.
        path: of the report.
        model: name of what predicted.
        top: labels in each timeline.
    """
    from kinema import charts
    from kinema.evaluation.report import Report

    predictions = [outcome for outcome in outcomes if not isinstance(outcome, Failure)]
    failed = [[outcome.path, str(outcome.error)] for outcome in outcomes if isinstance(outcome, Failure)]
    count = f"{len(predictions)} video{'' if len(predictions) == 1 else 's'}"
    seen = {f", {_FRAMES_SEEN[found.fast_seek]}" for found in predictions if found.fast_seek in _FRAMES_SEEN}
    report = Report("Predictions", f"{count}, {model}{''.join(seen)}").add_section("Videos")
    rows: list[list[object]] = []
    for prediction in predictions:
        timeline = prediction.timeline
        assert timeline is not None
        changes = [round(timeline.changes_per_minute(smoothed=smoothed), 1) for smoothed in (True, False)]
        length_s, best = round(prediction.span.duration_s, 1), prediction.top(1)[0]
        rows.append([prediction.path, length_s, *best, len(prediction.segments), *changes])
    heads = ["video", "seconds", "label", "score", "segments", "changes a minute", "without rolling"]
    report.add_table(heads, rows, shares=("score",))
    if failed:
        report.add_section("Files that could not be read").add_table(["video", "error"], failed)
    # One colour for each class in all charts: the first colours for the classes with the highest scores.
    scores: Counter[str] = Counter()
    for prediction in predictions[:MAX_TIMELINES]:
        scores.update(dict(prediction.top(top)))
    colours = charts.class_colours([label for label, _ in scores.most_common()])
    for prediction in predictions[:MAX_TIMELINES]:
        report.add_section(Path(prediction.path).name).add_figure(prediction.plot(top, colours))
    report.write(path)
