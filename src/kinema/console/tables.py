"""Tables and text on a terminal, printed literally: `walk [slow]` keeps its brackets, and `a:100:b` is no emoji.

Paths and names of networks are never shortened, because users have to type them.
"""

from __future__ import annotations

import functools
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from kinema.text import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import ProgressColumn
    from rich.text import Text

GAP = 2
"""Spaces between the columns of a table."""


_NO_TERMINAL = 10_000
"""Columns of a file or pipe: there, each row of a table and each sentence is one line, whole."""


def plain_console(*, stderr: bool = False, width: int | None = None) -> Console:
    """A console that prints text literally: without markup, emoji and highlighting, and control characters as escapes.

    Into a file or pipe it prints without wrapping.
    """
    if width is None and not (sys.stderr if stderr else sys.stdout).isatty():
        width = _NO_TERMINAL
    return _console_class()(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


@functools.cache
def _console_class() -> type[Console]:
    from rich.console import Console

    class LiteralConsole(Console):
        """Names of files and labels may hold sequences that move a terminal's cursor."""

        def render_str(self, text: str, *args: object, **options: object) -> Text:
            return super().render_str(printable(text, lines=True), *args, **options)  # type: ignore[arg-type]

    return LiteralConsole


def print_lines(lines: Iterable[str]) -> None:
    """Print sentences; a terminal wraps them between words and keeps their indent, a file gets one line each."""
    console = plain_console()
    for line in lines:
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        wrapped = textwrap.wrap(
            line, console.width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        console.print("\n".join(wrapped), soft_wrap=True)


def bar_columns(*further: ProgressColumn) -> tuple[ProgressColumn, ...]:
    """The columns of a progress bar: its title, the bar, and those given."""
    from rich.progress import BarColumn, TextColumn

    return (TextColumn("{task.description}", markup=False), BarColumn(), *further)


class Column(NamedTuple):
    """A column of a list that fits any width.

    Args:
        heading: first line of the column, or its first lines.
        rank: columns with the greatest rank are left out first if the terminal is too narrow; a column of rank 0 stays.
        justify: "left" or "right".
        least: smallest width in characters, with cells on several lines; 0 keeps each cell on one line.
    """

    heading: str
    rank: int
    justify: Literal["left", "right"] = "left"
    least: int = 0


def print_list(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print the columns that fit the terminal, and an empty line. If standard output is no terminal, print all of them."""
    from rich.cells import cell_len
    from rich.table import Table

    rows = [[printable(cell) for cell in row] for row in rows]
    heads = [column.heading.split("\n") for column in columns]
    widths = [max(map(cell_len, (*head, *cells))) for head, *cells in zip(heads, *rows, strict=True)]
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
    left_out = [" ".join(heads[place]) for place in range(len(columns)) if place not in shown]
    if left_out:
        print(f"\nno room here for: {', '.join(left_out)}\n(a wider window and --json have them)")
    print()


def fitting(ranks: Sequence[int], widths: Sequence[int], room: int) -> list[int]:
    """Indices of the columns that fit beside each other; the greatest rank is left out first, and rank 0 never.

    >>> fitting([0, 2, 1], [10, 10, 10], room=25)
    [0, 2]
    """
    shown = list(range(len(ranks)))
    while len(shown) > 1 and sum(widths[place] + GAP for place in shown) - GAP > room:
        shown.remove(max(shown, key=lambda place: ranks[place]))
    return shown
