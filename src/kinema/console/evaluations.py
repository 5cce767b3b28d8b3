"""Results of evaluations and comparisons as tables on standard output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kinema.console.tables import plain_console

if TYPE_CHECKING:
    from kinema.evaluation import Judgement
    from kinema.runs.compare import NetworkResult


def print_evaluation(evaluation: Judgement, name: str) -> None:
    """Print the figures and the table of classes on standard output."""
    from rich.table import Table

    from kinema.evaluation.report import figure_names

    console = plain_console()
    failed = f", {evaluation.num_failed} could not be read" if evaluation.num_failed else ""
    console.print(f"{name} on {evaluation.num_videos} videos{failed}, {evaluation.views}")
    figures = Table("figure", "value", "95 % interval", box=None, pad_edge=False)
    for key, figure in figure_names(evaluation.figures).items():
        low, high = evaluation.intervals.get(key, (None, None))
        figures.add_row(figure, f"{evaluation.figures[key]:.3f}", "" if low is None else f"{low:.3f} - {high:.3f}")
    console.print(figures)
    if not evaluation.classes:
        return
    table = Table("class", box=None, pad_edge=False)
    for column in (evaluation.unit, "precision", "recall", "F1"):
        table.add_column(column, justify="right")
    for row in evaluation.classes:
        scores = [f"{value:.3f}" if row.n else "–" for value in (row.precision, row.recall, row.f1)]
        table.add_row(row.label, str(row.n), *scores)
    console.print()
    console.print(table)


def print_comparison(results: Sequence[NetworkResult], title: str = "") -> None:
    """Print the table of networks, and the classes that gain and lose most, on standard output."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from kinema.runs.compare import HEADS, worth_of_time

    table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for head in HEADS:
        table.add_column(head.replace(" ", "\n"), justify="left" if head == "network" else "right", no_wrap=True)
    for result in results:
        table.add_row(*result.cells(), end_section=result is results[-2])
    console = plain_console()
    console.print(table)
    console.print(f"Recall a class, against {results[0].name}:")
    for line in worth_of_time(results):
        console.print(f"  {line}")
