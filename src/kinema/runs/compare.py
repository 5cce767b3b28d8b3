"""Train and judge several networks alike: what time is worth on these videos, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.errors import check_settings
from kinema.runs.config import LearningConfig, TrainConfig
from kinema.runs.fit import fit
from kinema.runs.folder import is_main_process
from kinema.runs.options import ScoringOptions, check_crops
from kinema.runs.progress import SILENT, Progress
from kinema.runs.tasks.clip import TASK
from kinema.runs.unseen import free_name, training_pace

if TYPE_CHECKING:
    from kinema.datasets.dataset import DataSet
    from kinema.evaluation import Evaluation
    from kinema.evaluation.report import Report
    from kinema.weights.checkpoint import ModelCard

MODELS = "single_frame_small,late_fusion_small,early_fusion_small,slow_fusion_small"
FIGURES = ("clip_hit_at_1", "video_hit_at_1", "video_hit_at_5", "macro_f1")
HEADS = ("network", "clip hit@1", "video hit@1", "video hit@5", "macro F1", "params", "GMACs", "clips/s")
AVERAGE = "average of all"


@dataclass(frozen=True, kw_only=True)
class CompareConfig(LearningConfig):
    """Settings of a comparison; every network is trained and judged alike."""

    models: str | None = None
    """Names of networks to train, with commas; without it four small ones, or none where there are --checkpoints. The
    first network is what the others are compared with."""
    checkpoints: tuple[str, ...] = ()
    """Networks trained before, each judged as the others are: checkpoints, run folders, or folders of runs."""
    clips: int = 5
    """Clips of each validation video whose scores are averaged."""
    crops: int = 1
    """Crops of each clip: 1 (centre) or 3 (left, centre, right)."""
    flips: bool = False
    """Show every crop mirrored as well to the networks that learned from mirrored clips; the others see it as it is."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_settings({"clips": self.clips}, 1)
        check_crops(self.crops)

    @property
    def names(self) -> list[str]:
        """Networks to train."""
        models = self.models if self.models is not None else "" if self.checkpoints else MODELS
        return [name.strip() for name in models.split(",") if name.strip()]


@dataclass(frozen=True)
class Row:
    """One network of a comparison: how good, how large, how fast (training clips a second on this machine)."""

    name: str
    evaluation: Evaluation
    params: int | None = None
    macs: int | None = None
    clips_per_s: float | None = None

    def to_json(self) -> dict[str, object]:
        """A plain dictionary."""
        return {
            "name": self.name,
            **{name: round(self.evaluation.figures[name], 6) for name in FIGURES},
            "interval": [round(value, 4) for value in self.evaluation.intervals["video_hit_at_1"]],
            "params": self.params,
            "macs": self.macs,
            "clips_per_s": None if self.clips_per_s is None else round(self.clips_per_s, 2),
        }

    def cells(self) -> list[str]:
        """The row of the printed table."""
        shares = [f"{self.evaluation.figures[name]:.1%}" for name in FIGURES]
        params = "" if self.params is None else f"{self.params / 1e6:.2f}M"
        macs = "" if self.macs is None else f"{self.macs / 1e9:.3f}"
        pace = "" if self.clips_per_s is None else f"{self.clips_per_s:.1f}"
        return [self.name, *shares, params, macs, pace]


def check_networks(names: Sequence[str], config: CompareConfig) -> None:
    """Build every network without its weights, so that the last one is not found wrong hours after the first.

    Raises:
        UnknownName, ConfigError: a network cannot be built like this.
    """
    for name in names:
        settings_for(name, config).build_without_weights(name)


def settings_for(name: str, config: CompareConfig) -> TrainConfig:
    """How one network is trained: as all are, but one for a single frame keeps to one, and one for RGB sees no flow."""
    from kinema.models import VARIANTS

    shared = {field.name: getattr(config, field.name) for field in fields(LearningConfig)}
    if name in VARIANTS and VARIANTS[name].input.clip_len == 1:
        shared["clip_len"] = None
    if name in VARIANTS and not VARIANTS[name].input.has_flow:
        shared["flow_method"] = None
    return TrainConfig(model=name, **shared)


def run_comparison(
    data: DataSet,
    names: Sequence[str],
    config: CompareConfig,
    folder: Path,
    trained: Sequence[Path] = (),
    progress: Progress = SILENT,
) -> list[Row]:
    """Train and judge each network in a folder of its own; a finished one is not trained again with --resume.

    Args:
        data: divided into parts.
        names: networks to train.
        config: how all of them are trained and judged.
        folder: for the run folders and the report.
        trained: checkpoint folders of networks that are judged only.
        progress: told how far each training is.
    """
    rows = []
    for number, name in enumerate(names, 1):
        home = folder / name
        resume = config.resume and (home / "config.toml").exists()
        settings = replace(settings_for(name, config), out=str(home), resume=resume)
        run = fit(data, settings, home, title=f"{name} ({number}/{len(names)})", progress=progress)
        rows.append(_judge(run.folder / "best", name, data, config, run.clips_per_s))
    for checkpoint in trained:
        name = free_name(checkpoint, {row.name for row in rows})
        rows.append(_judge(checkpoint, name, data, config, training_pace(checkpoint)))
    if is_main_process():
        rows.append(_average_of(rows))
        write_comparison(rows, folder)
    return rows


def _judge(checkpoint: Path, name: str, data: DataSet, config: CompareConfig, clips_per_s: float | None) -> Row:
    from kinema.inspection.summary import summarize
    from kinema.weights.checkpoint import load_checkpoint

    network, card = load_checkpoint(checkpoint)
    options = ScoringOptions(
        clips=config.clips, crops=config.crops, batch_size=config.batch_size, workers=config.workers,
        precision=config.precision, cache=config.cache, flow_cache=config.flow_cache,
        flips=config.flips and learned_mirrored(card),
    )  # fmt: skip
    evaluation = TASK.judge(network, card, data.part("valid"), options, SILENT)
    summary = summarize(network, network.spec.shape)
    return Row(name, evaluation, summary.params, summary.macs, clips_per_s)


def learned_mirrored(card: ModelCard) -> bool:
    """Whether a network's training showed it mirrored clips; a card that does not say so, such as a paper's, counts as none."""
    from kinema.clips.transforms import PRESETS

    share = card.training.get("flip")
    if share is None:
        preset = PRESETS.get(str(card.training.get("augment")))
        share = preset.flip if preset else 0.0
    return bool(share > 0)


def _average_of(rows: Sequence[Row]) -> Row:
    from kinema.evaluation import evaluate_scores
    from kinema.evaluation.protocols import average_networks

    first = rows[0].evaluation
    videos = average_networks([row.evaluation.videos for row in rows])
    return Row(
        AVERAGE,
        evaluate_scores(
            videos, first.labels, multi_label=first.multi_label, protocol=first.protocol, failures=first.failures
        ),
    )


def class_changes(base: Evaluation, other: Evaluation) -> list[tuple[str, float]]:
    """How much each class's recall gains over the base, largest gain first."""
    before = {row.label: row.recall for row in base.classes}
    changes = [(row.label, row.recall - before[row.label]) for row in other.classes if row.n]
    return sorted(changes, key=lambda change: -change[1])


def worth_of_time(rows: Sequence[Row], most: int = 3) -> list[str]:
    """A line a network: the classes that gain and lose most against the first network."""
    lines = []
    for row in rows[1:]:
        changes = class_changes(rows[0].evaluation, row.evaluation)
        gains = [f"{label} {change:+.0%}" for label, change in changes[:most] if change > 0]
        losses = [f"{label} {change:+.0%}" for label, change in changes[::-1][:most] if change < 0]
        lines.append(f"{row.name}: gains {', '.join(gains) or 'none'}; losses {', '.join(losses) or 'none'}")
    return lines


def add_rows(report: Report, rows: Sequence[Row]) -> Report:
    """Bars, cost and the table of a comparison, as sections of a report."""
    from kinema import charts
    from kinema.evaluation.report import add_comparison

    add_comparison(report, {row.name: row.evaluation for row in rows})
    costed = [row for row in rows if row.macs is not None]
    points = [(row.name, (row.macs or 0) / 1e9, row.evaluation.figures["video_hit_at_1"]) for row in costed]
    report.add_section("What it costs").add_figure(charts.scatter(points, "GMACs a clip", "video hit@1"))
    report.add_table(HEADS, [row.cells() for row in costed])
    report.add_section("What time is worth, class by class")
    for line in worth_of_time(rows):
        report.add_text(line)
    return report


def write_comparison(rows: Sequence[Row], folder: Path) -> None:
    """compare.json, compare.csv and report.html."""
    from kinema import formats
    from kinema.evaluation.report import Report
    from kinema.files import write_json, write_text

    write_json(folder / "compare.json", {"networks": [row.to_json() for row in rows]})
    write_text(folder / "compare.csv", formats.table_csv(HEADS, [row.cells() for row in rows]))
    add_rows(Report("What time is worth", folder.name), rows).write(folder / "report.html")
