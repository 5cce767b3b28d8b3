"""The result of a comparison: networks beside each other and beside the baselines, the best one, and what cannot be told."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kinema.evaluation import Evaluation
    from kinema.evaluation.paired import Difference
    from kinema.evaluation.report import Report

FIGURES = ("clip_hit_at_1", "video_hit_at_1", "video_hit_at_5", "macro_f1")
HEADS = (
    "network",
    "clip hit@1",
    "video hit@1",
    "95 % interval",
    "video hit@5",
    "macro F1",
    "params",
    "GMACs",
    "clips/s",
)
AVERAGE = "average of all"


@dataclass(frozen=True)
class NetworkResult:
    """One network of a comparison: its evaluation, size, training speed here in clips a second, and checkpoint folder."""

    name: str
    evaluation: Evaluation
    params: int | None = None
    macs: int | None = None
    clips_per_s: float | None = None
    checkpoint: Path | None = None

    def to_json(self) -> dict[str, object]:
        """A plain dictionary."""
        intervals = {name: [round(end, 6) for end in ends] for name, ends in self.evaluation.intervals.items()}
        return {
            "name": self.name,
            **{name: round(self.evaluation.figures[name], 6) for name in FIGURES},
            "interval": [round(value, 4) for value in self.evaluation.intervals["video_hit_at_1"]],
            "intervals": intervals,
            "interval_methods": dict(self.evaluation.interval_methods),
            "params": self.params,
            "macs": self.macs,
            "clips_per_s": None if self.clips_per_s is None else round(self.clips_per_s, 2),
            "checkpoint": None if self.checkpoint is None else str(self.checkpoint),
        }

    def cells(self) -> list[str]:
        """The cells of its line in a table, in the order of `HEADS`; hit@5 is empty if it is always 1."""
        from kinema.evaluation.remarks import shown

        params = "" if self.params is None else f"{self.params / 1e6:.2f}M"
        macs = "" if self.macs is None else f"{self.macs / 1e9:.3f}"
        speed = "" if self.clips_per_s is None else f"{self.clips_per_s:.1f}"
        low, high = self.evaluation.intervals["video_hit_at_1"]
        shares = share_cells(self.evaluation.figures, shown(self.evaluation))
        return [self.name, *shares[:2], f"{100 * low:.1f}-{100 * high:.1f}", *shares[2:], params, macs, speed]


@dataclass(frozen=True)
class Comparison:
    """Networks that were judged on the same videos.

    Args:
        data: the data set.
        part: the part of it that judged the networks.
        networks: at least two.
        video: one of the videos.
    """

    data: str
    part: str
    networks: tuple[NetworkResult, ...]
    video: str

    @cached_property
    def average(self) -> NetworkResult:
        """The average of the scores of all networks."""
        return NetworkResult(AVERAGE, average_evaluation([result.evaluation for result in self.networks]))

    @property
    def results(self) -> tuple[NetworkResult, ...]:
        """The networks, then their average."""
        return *self.networks, self.average

    @cached_property
    def best(self) -> NetworkResult:
        """The network with the highest video hit@1; of equals that with the higher macro-F1, then the cheaper one."""
        figures = ("video_hit_at_1", "macro_f1")
        return max(self.networks, key=lambda one: (*(one.evaluation.figures[key] for key in figures), -(one.macs or 0)))

    @cached_property
    def differences(self) -> list[Difference]:
        """How the best network differs from each of the others."""
        from kinema.evaluation.paired import differences

        others = [(one.name, one.evaluation) for one in self.networks if one is not self.best]
        return differences(self.best.evaluation, others)

    @property
    def predict_command(self) -> str:
        """The command that predicts a video with the best network."""
        return shlex.join(["kinema", "predict", self.video, "--model", str(self.best.checkpoint)])

    def about(self) -> list[str]:
        """What was judged, on what, and how."""
        from kinema.evaluation.remarks import counted

        one = self.best.evaluation
        failed = f", {one.num_failed} could not be read" if one.num_failed else ""
        return [f"{self.data}, part {self.part}: {counted(one)}{failed}", one.views]

    def verdict(self) -> list[str]:
        """The best network, the networks that cannot be told from it, and what else limits the result."""
        from kinema.evaluation.remarks import warnings

        best, value = self.best, self.best.evaluation.figures["video_hit_at_1"]
        equals = [one for one in self.differences if not one.is_distinguishable]
        lines = [f"Best: {best.name}, video hit@1 {value:.1%}"]
        if equals:
            named = ", ".join(
                f"{one.network} ({100 * one.difference:.1f} points lower, p={one.p:.2g})" for one in equals
            )
            lines.append(f"These videos cannot tell it from: {named}")
            same = [best, *(one for one in self.networks if one.name in {equal.network for equal in equals})]
            cheapest = min(same, key=lambda one: one.macs or 0)
            if cheapest is not best:
                lines.append(f"The cheapest of these networks: {cheapest.name}")
        else:
            worst = max(one.p for one in self.differences)
            lines.append(f"It is better than each of the others on these videos (p={worst:.2g} or less)")
        return lines + [f"Note: {warning}." for warning in warnings(best.evaluation)]

    def to_json(self) -> dict[str, object]:
        """A plain dictionary, as in compare.json."""
        from kinema.evaluation.paired import TEST
        from kinema.evaluation.remarks import warnings

        judged, baseline = self.best.evaluation, self.best.evaluation.baseline
        return {
            "data": self.data,
            "part": self.part,
            "protocol": judged.protocol,
            "num_videos": judged.num_videos,
            "num_sources": judged.num_sources,
            "num_failed": judged.num_failed,
            "networks": [result.to_json() for result in self.results],
            "baseline": None if baseline is None else baseline.to_json(),
            "best": self.best.name,
            "predict": self.predict_command,
            "test": TEST,
            "differences": [one.to_json() for one in self.differences],
            "warnings": warnings(judged),
        }

    def rows(self) -> list[list[str]]:
        """The lines of its table: the networks, their average, and the baselines."""
        return [*(result.cells() for result in self.results), *self.baseline_rows()]

    def baseline_rows(self) -> list[list[str]]:
        """A line for always naming the largest class, and one for chance."""
        from kinema.evaluation.remarks import shown

        evaluation, baseline = self.best.evaluation, self.best.evaluation.baseline
        tables = {} if baseline is None else {"largest class": baseline.figures, "chance": baseline.chance}
        rows = []
        for name, table in tables.items():
            shares = share_cells(table, shown(evaluation))
            rows.append([name, *shares[:2], "", *shares[2:], "", "", ""])
        return rows


def share_cells(figures: dict[str, float], shown: dict[str, str]) -> list[str]:
    """The `FIGURES` in percent; empty if not known or not shown."""
    return [f"{figures[name]:.1%}" if name in figures and name in shown else "" for name in FIGURES]


def average_evaluation(evaluations: Sequence[Evaluation]) -> Evaluation:
    """The judgement of the mean scores of several networks."""
    from kinema.evaluation import evaluate_scores
    from kinema.evaluation.protocols import average_networks

    first, videos = evaluations[0], average_networks([evaluation.videos for evaluation in evaluations])
    return evaluate_scores(
        videos, first.labels, multi_label=first.multi_label, protocol=first.protocol, failures=first.failures
    )


def class_changes(base: Evaluation, other: Evaluation) -> list[tuple[str, float]]:
    """The gain of each class's recall over the base, largest gain first."""
    before = {row.label: row.recall for row in base.classes}
    changes = [(row.label, row.recall - before[row.label]) for row in other.classes if row.n]
    return sorted(changes, key=lambda change: -change[1])


def worth_of_time(results: Sequence[NetworkResult], most: int = 3) -> list[str]:
    """A line for each network: the classes that gain and lose most against the first network."""
    lines = []
    for result in results[1:]:
        changes = class_changes(results[0].evaluation, result.evaluation)
        gains = [f"{label} {change:+.0%}" for label, change in changes[:most] if change > 0]
        losses = [f"{label} {change:+.0%}" for label, change in changes[::-1][:most] if change < 0]
        lines.append(f"{result.name}: gains {', '.join(gains) or 'none'}; losses {', '.join(losses) or 'none'}")
    return lines


def add_results(report: Report, comparison: Comparison) -> Report:
    """Add the verdict, the bars, the costs and the tables of a comparison to a report."""
    from kinema import charts
    from kinema.evaluation.paired import TEST
    from kinema.evaluation.remarks import legend
    from kinema.evaluation.report import add_comparison

    report.add_section("Which is best")
    for line in [*comparison.verdict(), f"Use it: {comparison.predict_command}"]:
        report.add_text(line)
    for line in [*comparison.about(), *legend(comparison.best.evaluation), f"Differences: {TEST}, level 0.05."]:
        report.add_text(line, soft=True)
    add_comparison(report, {result.name: result.evaluation for result in comparison.results})
    networks = comparison.networks
    points = [(one.name, (one.macs or 0) / 1e9, one.evaluation.figures["video_hit_at_1"]) for one in networks]
    report.add_section("What it costs").add_figure(charts.scatter(points, "GMACs a clip", "video hit@1"))
    report.add_table(HEADS, comparison.rows())
    report.add_section("What time is worth, class by class")
    for line in worth_of_time(comparison.results):
        report.add_text(line)
    return report


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """Write compare.json, compare.csv and report.html."""
    from kinema import formats
    from kinema.evaluation.report import Report
    from kinema.files import write_json, write_text

    write_json(folder / "compare.json", comparison.to_json())
    write_text(folder / "compare.csv", formats.table_csv(HEADS, comparison.rows()))
    add_results(Report("What time is worth", folder.name), comparison).write(folder / "report.html")
