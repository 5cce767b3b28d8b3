"""Results of evaluations and comparisons as tables on standard output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kinema.console.tables import plain_console

if TYPE_CHECKING:
    from kinema.evaluation import Judgement
    from kinema.runs.compare import Row


def print_evaluation(evaluation: Judgement, name: str) -> None:
    """The figures and the class table, on standard output."""
    from rich.table import Table

    from kinema.evaluation.report import FIGURE_NAMES

    console = plain_console()
    failed = f", {evaluation.num_failed} could not be read" if evaluation.num_failed else ""
    console.print(f"{name} on {evaluation.num_videos} videos{failed}, {evaluation.views}")
    figures = Table("figure", "value", "95 % interval", box=None, pad_edge=False)
    for key in (key for key in FIGURE_NAMES if key in evaluation.figures):
        low, high = evaluation.intervals.get(key, (None, None))
        figures.add_row(
            FIGURE_NAMES[key], f"{evaluation.figures[key]:.3f}", "" if low is None else f"{low:.3f} - {high:.3f}"
        )
    console.print(figures)
    table = Table("class", box=None, pad_edge=False)
    for column in (evaluation.unit, "precision", "recall", "F1"):
        table.add_column(column, justify="right")
    for row in evaluation.classes:
        scores = [f"{value:.3f}" if row.n else "–" for value in (row.precision, row.recall, row.f1)]
        table.add_row(row.label, str(row.n), *scores)
    console.print()
    console.print(table)


def print_comparison(rows: Sequence[Row], title: str = "") -> None:
    """The table and the classes that gain and lose, on standard output."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from kinema.runs.compare import HEADS, worth_of_time

    table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for head in HEADS:
        table.add_column(head.replace(" ", "\n"), justify="left" if head == "network" else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row.cells(), end_section=row is rows[-2])
    console = plain_console()
    console.print(table)
    console.print(f"Recall a class, against {rows[0].name}:")
    for line in worth_of_time(rows):
        console.print(f"  {line}")
