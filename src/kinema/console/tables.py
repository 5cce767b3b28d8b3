"""What is printed stands as it is: classes and paths are no markup, `walk [slow]` keeps its brackets and `a:100:b` its number.

It stays whole, too: what one has to type, such as a path or a network's name, is never shortened.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import ProgressColumn

GAP = 2
"""Spaces between the columns of a table."""


def plain_console(**options: Any) -> Console:
    """A console that takes text for text. Args: those of rich's own."""
    from rich.console import Console

    return Console(**{"markup": False, "emoji": False, "highlight": False, **options})


def bar_columns(*further: ProgressColumn) -> tuple[ProgressColumn, ...]:
    """The columns of a progress bar: its title, the bar, and those given."""
    from rich.progress import BarColumn, TextColumn

    return (TextColumn("{task.description}", markup=False), BarColumn(), *further)


class Column(NamedTuple):
    """A column of a list that is to be read at any width.

    Args:
        heading: stands above.
        rank: the columns of the greatest rank go first where there is no room; that of rank 0 stays.
        justify: "left" or "right".
        least: characters that it can do with, its cells on several lines; 0 keeps each cell on one.
    """

    heading: str
    rank: int
    justify: Literal["left", "right"] = "left"
    least: int = 0


def print_list(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print as many columns as have room on a terminal, and all of them, a line a row, elsewhere."""
    from rich.table import Table

    widths = [max(map(len, (column.heading, *cells))) for column, *cells in zip(columns, *rows, strict=True)]
    needed = [min(column.least or width, width) for column, width in zip(columns, widths, strict=True)]
    room = plain_console().width if sys.stdout.isatty() else sum(widths) + GAP * len(widths)
    shown = fitting([column.rank for column in columns], needed, room)
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for place in shown:
        column = columns[place]
        table.add_column(column.heading, justify=column.justify, no_wrap=not column.least)
    for row in rows:
        table.add_row(*(row[place] for place in shown))
    plain_console(width=max(room, *needed)).print(table)
    left_out = [column.heading for place, column in enumerate(columns) if place not in shown]
    if left_out:
        print(f"\nno room here for: {', '.join(left_out)} (a wider window and --json have them)")
    print()


def fitting(ranks: Sequence[int], widths: Sequence[int], room: int) -> list[int]:
    """Places of the columns that have room beside each other; those of the greatest rank go first, and rank 0 stays.

    >>> fitting([0, 2, 1], [10, 10, 10], room=25)
    [0, 2]
    """
    shown = list(range(len(ranks)))
    while len(shown) > 1 and sum(widths[place] + GAP for place in shown) - GAP > room:
        shown.remove(max(shown, key=lambda place: ranks[place]))
    return shown
