"""How predictions are shown: on standard output as they come, and as a report in the end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.choices import PredictionFormat
from kinema.console.tables import plain_console
from kinema.predictions import Failure, Prediction

if TYPE_CHECKING:
    from rich.console import Console


USUAL_TOP = 5
"""Labels of a video that are shown where there is room for several."""

MOST_IN_REPORT = 30
"""A report draws the timelines of so many videos; all are in its table."""

_SEEN = {"nonref": "seen: frames that others refer to", "keyframes": "seen: keyframes"}


class PredictionPrinter:
    """Prints predictions on standard output as they come.

    Args:
        kind: the format.
        top: how many labels of a video are shown; None is 5, and in the lines of several videos the best one.
        single: whether there is one video only.
        to_files: whether predictions are written to files as well; subtitles and CSV are then not printed.
    """

    def __init__(self, kind: PredictionFormat, top: int | None, *, single: bool, to_files: bool) -> None:
        self.kind, self.top, self.single, self.to_files = kind, top, single, to_files
        self.console = plain_console()
        self.headed = False

    def __call__(self, outcome: Prediction | Failure) -> None:
        """Print one; a failure is printed as JSON only."""
        if self.kind == "json":
            values = outcome.to_json() if isinstance(outcome, Failure) else outcome.to_json(self.top or USUAL_TOP)
            print(json.dumps(values, ensure_ascii=False), flush=True)
        elif isinstance(outcome, Failure):
            return
        elif self.kind == "table" and self.single:
            _print_table(outcome, self.top or USUAL_TOP, self.console)
        elif self.kind == "table":
            _print_line(outcome, self.top or 1, self.console)
        elif not self.to_files:
            text = outcome.to_text(self.kind)
            if self.kind == "csv" and self.headed:
                text = text.partition("\n")[2]
            self.headed = True
            print(text, end="", flush=True)


def _print_table(prediction: Prediction, top: int, console: Console) -> None:
    from rich.table import Table

    length_s = prediction.span.duration_s
    length = f"{length_s:.1f} s" if length_s >= 1 else f"{length_s:.2f} s"
    console.print(f"{prediction.path}  {length}{_seen(prediction)}", style="bold", soft_wrap=True)
    best = Table("label", box=None, pad_edge=False)
    best.add_column("score", justify="right")
    for label, score in prediction.top(top):
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


def _print_line(prediction: Prediction, top: int, console: Console) -> None:
    best = ", ".join(f"{label}  {score:.1%}" for label, score in prediction.top(top))
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


def write_report(outcomes: Sequence[Prediction | Failure], path: Path, model: str, top: int) -> None:
    """Write a report: a table of all videos, and the timelines of the first.

    Args:
        outcomes: of all videos.
        path: where to.
        model: what predicted, in words.
        top: how many labels each timeline draws.
    """
    from kinema.evaluation.report import Report

    predictions = [outcome for outcome in outcomes if not isinstance(outcome, Failure)]
    failed = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    count = f"{len(predictions)} video{'' if len(predictions) == 1 else 's'}"
    seen = {f", {_SEEN[prediction.fast_seek]}" for prediction in predictions if prediction.fast_seek in _SEEN}
    report = Report("Predictions", f"{count}, {model}{''.join(seen)}").add_section("Videos")
    heads = ["video", "seconds", "label", "score", "segments", "changes a minute", "without rolling"]
    report.add_table(heads, [_row(prediction) for prediction in predictions], shares=("score",))
    if failed:
        rows = [[outcome.path, str(outcome.error)] for outcome in failed]
        report.add_section("Files that could not be read").add_table(["video", "error"], rows)
    drawn = predictions[:MOST_IN_REPORT]
    colours = _common_colours(drawn, top)
    for prediction in drawn:
        report.add_section(Path(prediction.path).name).add_figure(prediction.plot(top, colours))
    report.write(path)


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
