"""Results of evaluations and comparisons as tables on standard output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kinema.console.tables import Column, print_lines, print_list

if TYPE_CHECKING:
    from kinema.evaluation import Judgement
    from kinema.localization.statistics import LabelStatistics
    from kinema.runs.comparison import Comparison
    from kinema.runs.located_judgement import LocatedJudgement

FIGURE_COLUMNS = (
    Column("figure", 0),
    Column("value", 1, "right"),
    Column("95 % interval", 2, "right"),
    Column("largest class", 3, "right"),
    Column("chance", 4, "right"),
)
COMPARISON_RANKS = (0, 3, 1, 2, 7, 4, 8, 5, 6)
"""Of `runs.comparison.HEADS`: the greatest rank is left out first on a narrow terminal."""


def print_evaluation(evaluation: Judgement, name: str) -> None:
    """Print the figures beside their baselines and the table of classes on standard output."""
    from kinema.evaluation.remarks import baseline_figures, counted, legend, shown, warnings

    failed = f", {evaluation.num_failed} could not be read" if evaluation.num_failed else ""
    print_lines([f"{name} on {counted(evaluation)}{failed}, {evaluation.views}", ""])
    rows = []
    for key, figure in shown(evaluation).items():
        low, high = evaluation.intervals.get(key, (None, None))
        interval, known = "" if low is None else f"{low:.3f} - {high:.3f}", baseline_figures(evaluation, key)
        ways = [f"{known[way]:.3f}" if way in known else "" for way in ("largest class", "chance")]
        rows.append([figure, f"{evaluation.figures[key]:.3f}", interval, *ways])
    print_list(FIGURE_COLUMNS, rows)
    print_lines([*legend(evaluation), *(f"Note: {warning}." for warning in warnings(evaluation)), ""])
    if evaluation.classes:
        heads = ("class", evaluation.unit, "precision", "recall", "F1")
        columns = [
            Column(head, rank, "right" if rank else "left") for rank, head in zip((0, 2, 4, 3, 1), heads, strict=True)
        ]
        table = []
        for row in evaluation.classes:
            scores = [f"{value:.3f}" if row.n else "–" for value in (row.precision, row.recall, row.f1)]
            table.append([row.label, str(row.n), *scores])
        print_list(columns, table)


def result_lines(evaluation: Judgement, headline: str) -> list[str]:
    """The result on the validation part: the main figures, their interval, the baselines, and reasons to distrust them."""
    from kinema.evaluation.remarks import baseline_figures, certainty, counted, interval_note, shown, warnings

    known = certainty(evaluation)
    lines, name = [f"{headline} on the validation part ({counted(evaluation)})"], known.main_figure
    if name in evaluation.intervals:
        low, high = evaluation.intervals[name]
        lines.append(
            f"  95 % interval of {shown(evaluation)[name]}: {low:.1%} - {high:.1%} ({interval_note(evaluation, name)})"
        )
    if known.baseline is not None:
        ways = baseline_figures(evaluation, name)
        named = f"always naming {known.baseline.label!r}, the largest class: {ways['largest class']:.1%}"
        lines.append(f"  {named}; chance: {ways['chance']:.1%}")
    return lines + [f"  Note: {warning}." for warning in warnings(evaluation)]


def print_located(judged: LocatedJudgement) -> None:
    """Print the figures of located actions, what was counted, and the kinds of error, on standard output."""
    classes = f" of {len(judged.by_class)} classes" if judged.by_class else ""
    lines = [f"{judged.protocol}: {judged.convention}"]
    lines += [f"{judged.num_answers} answers to {judged.num_true} true ones{classes} in {judged.num_videos} videos"]
    doubled = "left out" if judged.removed_doubled else "kept: no answer can find the second one"
    lines += [f"{judged.num_doubled} true ones stand twice in the file ({doubled})"] if judged.num_doubled else []
    lines += [f"{count} left out: {reason}" for reason, count in judged.ignored.items()]
    print_lines([*lines, ""])
    value = Column("value", 1, "right")
    print_list((Column("figure", 0), value), [[name, f"{one:.4f}"] for name, one in judged.figures.items()])
    if judged.by_class:
        print_list((Column("class", 0), value), [[name, f"{one:.4f}"] for name, one in judged.by_class.items()])
    print_list(
        (Column(f"kind, {judged.kinds_at}", 0), Column("count", 1, "right")),
        [[name.replace("_", " "), str(count)] for name, count in judged.kinds.items()],
    )
    for side, rows in judged.statistics.items():
        print_statistics(rows, side)


def print_statistics(rows: Sequence[LabelStatistics], title: str = "") -> None:
    """Print how often, how long and when labels occur, in seconds, on standard output."""
    heads = (
        "label",
        "count",
        "videos",
        "total",
        "mean",
        "shortest",
        "longest",
        "first",
        "last",
        "mean\ngap",
        "longest\ngap",
    )
    ranks = (0, 1, 5, 2, 3, 7, 8, 4, 6, 9, 10)
    columns = [Column(head, rank, "right" if rank else "left") for head, rank in zip(heads, ranks, strict=True)]
    print_lines([f"{title or 'segments'}, in seconds:"])
    print_list(columns, [[_cell(value) for value in row.to_json().values()] for row in rows])


def _cell(value: object) -> str:
    return "–" if value is None else f"{round(value, 1) + 0.0:.1f}" if isinstance(value, float) else str(value)


def print_comparison(comparison: Comparison, title: str = "") -> None:
    """Print the table of networks, the best one, and the classes that gain and lose most, on standard output."""
    from kinema.evaluation.paired import TEST
    from kinema.evaluation.remarks import legend
    from kinema.runs.comparison import HEADS, worth_of_time

    print_lines([*([title] if title else []), *comparison.about(), ""])
    rows = comparison.rows()
    filled = [place for place in range(len(HEADS)) if any(row[place] for row in rows)]
    columns = [
        Column("\n".join(HEADS[place].rsplit(" ", 1)), COMPARISON_RANKS[place], "right" if place else "left")
        for place in filled
    ]
    table = [[row[place] for place in filled] for row in rows]
    print_list(columns, [*table[: len(comparison.networks)], [""] * len(filled), *table[len(comparison.networks) :]])
    print_lines([*legend(comparison.best.evaluation), f"Differences: {TEST}.", ""])
    print_lines([f"Recall a class, against {comparison.networks[0].name}:"])
    print_lines([*(f"  {line}" for line in worth_of_time(comparison.results)), "", *comparison.verdict()])
