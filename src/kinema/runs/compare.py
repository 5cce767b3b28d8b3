"""Train and judge several networks in the same way: what each way of using time gains on these videos, and what it costs."""

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
from kinema.runs.unseen import free_name, training_speed

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
    """Settings of a comparison; all networks are trained and judged with the same ones."""

    models: str | None = None
    """Names of networks to train, separated by commas; by default four small ones, or none with --checkpoints. The
    others are compared with the first network."""
    checkpoints: tuple[str, ...] = ()
    """Networks of earlier runs, judged as the others are: checkpoints, run folders, or folders of runs."""
    clips: int = 5
    """Clips of each validation video whose scores are averaged."""
    crops: int = 1
    """Crops of each clip: 1 (centre) or 3 (left, centre, right)."""
    flips: bool = False
    """Also score the mirror image of each crop, with the networks that were trained on mirrored clips."""

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
class NetworkResult:
    """One network of a comparison: its evaluation, size, and training speed on this machine in clips a second."""

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
        """The cells of its line in a table."""
        shares = [f"{self.evaluation.figures[name]:.1%}" for name in FIGURES]
        params = "" if self.params is None else f"{self.params / 1e6:.2f}M"
        macs = "" if self.macs is None else f"{self.macs / 1e9:.3f}"
        speed = "" if self.clips_per_s is None else f"{self.clips_per_s:.1f}"
        return [self.name, *shares, params, macs, speed]


def check_networks(names: Sequence[str], config: CompareConfig) -> None:
    """Build every network without its weights: an error in the last one must not appear hours after the first.

    Raises:
        UnknownName, ConfigError: a network cannot be built with these settings.
    """
    for name in names:
        settings_for(name, config).build_without_weights(name)


def settings_for(name: str, config: CompareConfig) -> TrainConfig:
    """The settings to train one network: those of all, without clips for a single frame and without flow for RGB."""
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
) -> list[NetworkResult]:
    """Train and judge each network in a folder of its own; with --resume, finished ones are not trained again.

    Args:
        data: divided into parts.
        names: networks to train.
        config: settings of the training and the evaluation of all networks.
        folder: for the run folders and the report.
        trained: checkpoint folders of networks that are only judged.
        progress: receives the progress of each training.
    """
    results = []
    for number, name in enumerate(names, 1):
        home = folder / name
        resume = config.resume and (home / "config.toml").exists()
        settings = replace(settings_for(name, config), out=str(home), resume=resume)
        run = fit(data, settings, home, title=f"{name} ({number}/{len(names)})", progress=progress)
        results.append(_judge(run.folder / "best", name, data, config, run.clips_per_s))
    for checkpoint in trained:
        name = free_name(checkpoint, {result.name for result in results})
        results.append(_judge(checkpoint, name, data, config, training_speed(checkpoint)))
    if is_main_process():
        results.append(NetworkResult(AVERAGE, average_evaluation([result.evaluation for result in results])))
        write_comparison(results, folder)
    return results


def _judge(
    checkpoint: Path, name: str, data: DataSet, config: CompareConfig, clips_per_s: float | None
) -> NetworkResult:
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
    return NetworkResult(name, evaluation, summary.params, summary.macs, clips_per_s)


def learned_mirrored(card: ModelCard) -> bool:
    """Whether a network was trained on mirrored clips. Cards that do not say so, such as published ones, count as no."""
    from kinema.clips.transforms import PRESETS

    share = card.training.get("flip")
    if share is None:
        preset = PRESETS.get(str(card.training.get("augment")))
        share = preset.flip if preset else 0.0
    return isinstance(share, float | int) and share > 0


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


def add_results(report: Report, results: Sequence[NetworkResult]) -> Report:
    """Add the bars, the costs and the tables of a comparison to a report."""
    from kinema import charts
    from kinema.evaluation.report import add_comparison

    add_comparison(report, {result.name: result.evaluation for result in results})
    costed = [result for result in results if result.macs is not None]
    points = [(one.name, (one.macs or 0) / 1e9, one.evaluation.figures["video_hit_at_1"]) for one in costed]
    report.add_section("What it costs").add_figure(charts.scatter(points, "GMACs a clip", "video hit@1"))
    report.add_table(HEADS, [result.cells() for result in costed])
    report.add_section("What time is worth, class by class")
    for line in worth_of_time(results):
        report.add_text(line)
    return report


def write_comparison(results: Sequence[NetworkResult], folder: Path) -> None:
    """Write compare.json, compare.csv and report.html."""
    from kinema import formats
    from kinema.evaluation.report import Report
    from kinema.files import write_json, write_text

    write_json(folder / "compare.json", {"networks": [result.to_json() for result in results]})
    write_text(folder / "compare.csv", formats.table_csv(HEADS, [result.cells() for result in results]))
    add_results(Report("What time is worth", folder.name), results).write(folder / "report.html")
