"""What a reader has to know beside the figures, in sentences that the terminal, reports and JSON share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from kinema.evaluation.baseline import Baseline, standing
from kinema.evaluation.bootstrap import FEW_SOURCES
from kinema.evaluation.judgement import figure_names, without_trivial

if TYPE_CHECKING:
    from kinema.evaluation.judgement import Judgement

_MOST_NAMES = 3


@dataclass(frozen=True)
class Certainty:
    """What a judgement says beyond its figures; see `Judgement`."""

    main_figure: str = ""
    num_sources: int = 0
    baseline: Baseline | None = None
    interval_methods: Mapping[str, str] = field(default_factory=dict)


def certainty(judgement: Judgement) -> Certainty:
    """What the judgement says; a task outside kinema may have results without it."""
    known = {one.name: getattr(judgement, one.name) for one in fields(Certainty) if hasattr(judgement, one.name)}
    return Certainty(**known)


def shown(judgement: Judgement) -> dict[str, str]:
    """Display names of the figures that say something, in order: hit@5 is left out if it is always 1."""
    return without_trivial(figure_names(judgement.figures), len(judgement.labels))


def counted(judgement: Judgement) -> str:
    """The number of videos and of their sources, such as "58 videos of 2 sources"."""
    videos, sources = judgement.num_videos, certainty(judgement).num_sources
    of_sources = "" if sources in (0, videos) else f" of {sources} {_plural(sources, 'source')}"
    return f"{videos} {_plural(videos, 'video')}{of_sources}"


def warnings(judgement: Judgement) -> list[str]:
    """One sentence for each reason to distrust the figures: not above the baseline, few sources, classes without a video."""
    return [*_below_baseline(judgement), *_few_sources(judgement), *_absent_classes(judgement)]


def legend(judgement: Judgement) -> list[str]:
    """What the baselines and the intervals beside the figures are."""
    lines, baseline = [], certainty(judgement).baseline
    if baseline is not None:
        most = f"the most frequent class of the {baseline.known_from}"
        lines.append(f"Largest class: always naming {baseline.label!r}, {most}. Chance: a guess with equal odds.")
    if judgement.intervals:
        lines.append(f"95 % intervals: {interval_note(judgement)}.")
    return lines


def baseline_figures(judgement: Judgement, figure: str) -> dict[str, float]:
    """A figure of the baseline and of chance, by "largest class" and "chance"; empty where neither is known."""
    baseline = certainty(judgement).baseline
    tables = {} if baseline is None else {"largest class": baseline.figures, "chance": baseline.chance}
    return {way: table[figure] for way, table in tables.items() if figure in table}


def certainty_json(judgement: Judgement) -> dict[str, object]:
    """Intervals, how they were made, the baseline and the warnings, for JSON."""
    known = certainty(judgement)
    baseline, name = known.baseline, known.main_figure
    document: dict[str, object] = {
        "num_sources": known.num_sources,
        "intervals": {name: [round(low, 6), round(high, 6)] for name, (low, high) in judgement.intervals.items()},
        "interval_methods": dict(known.interval_methods),
    }
    if baseline is not None:
        document["baseline"] = baseline.to_json()
        if name in judgement.intervals:
            document["above_baseline"] = standing(judgement.intervals[name], baseline.best(name)[0]) == "above"
    return document | {"warnings": warnings(judgement)}


def interval_note(judgement: Judgement, figure: str = "") -> str:
    """How the intervals were made, or that of one figure, such as "bootstrap over 58 videos"."""
    known, names = certainty(judgement), shown(judgement)
    sources, videos = known.num_sources, judgement.num_videos
    over_videos, over_sources = f"over {videos} {_plural(videos, 'video')}", f"over {sources} sources"
    names = {name: names[name] for name in judgement.intervals if name in names and figure in ("", name)}
    exact = [name for name in names if "Clopper-Pearson" in known.interval_methods.get(name, "")]
    if exact and len(exact) == len(names):
        by_source = known.interval_methods[exact[0]].endswith("source")
        return f"Clopper-Pearson {over_sources if by_source else over_videos}: all are right, or none"
    note = f"bootstrap {over_videos if sources in (0, 1, videos) else over_sources}"
    if 1 < sources < min(FEW_SOURCES, videos):
        note = f"the wider of a bootstrap {over_sources} and one {over_videos}"
    return note + (f"; Clopper-Pearson for {', '.join(names[name] for name in exact)}" if exact else "")


def _below_baseline(judgement: Judgement) -> list[str]:
    known = certainty(judgement)
    name, baseline = known.main_figure, known.baseline
    if baseline is None or name not in judgement.intervals:
        return []
    (low, high), (least, way) = judgement.intervals[name], baseline.best(name)
    figure, where = figure_names([name])[name], standing((low, high), least)
    interval = f"{figure} {judgement.figures[name]:.3f} [{low:.3f}, {high:.3f}]"
    if where == "below":
        return [f"{interval} is below {way} ({least:.3f})"]
    if where == "covered":
        return [f"{interval} is not shown to be above {way}: the interval covers {least:.3f}"]
    return []


def _few_sources(judgement: Judgement) -> list[str]:
    sources, videos = certainty(judgement).num_sources, judgement.num_videos
    if not 0 < sources < FEW_SOURCES:
        return []
    if sources == videos:
        return [f"n = {videos} {_plural(videos, 'video')}: too few, how good the network is cannot be told"]
    what = f"n = {sources} {_plural(sources, 'source')}: how good the network is on others cannot be told"
    return [f"{what}; the intervals hold for these sources"]


def _absent_classes(judgement: Judgement) -> list[str]:
    absent = [row.label for row in judgement.classes if not row.n]
    if not absent or len(absent) == len(judgement.classes):
        return []
    names = ", ".join(absent[:_MOST_NAMES])
    if len(absent) > _MOST_NAMES:
        names += f" and {len(absent) - _MOST_NAMES} more"
    count = f"{len(absent)} of {len(judgement.classes)}"
    return [f"classes without an evaluated video, which the figures do not cover: {names} ({count})"]


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"
