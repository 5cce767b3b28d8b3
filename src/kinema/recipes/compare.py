"""`kinema compare`: several networks, one protocol, one table: what time is worth on these videos, and what it costs."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinema.errors import ConfigError, check_settings
from kinema.recipes.learning import LearningConfig
from kinema.recipes.options import check_crops
from kinema.recipes.outputs import check_results
from kinema.recipes.run_folder import choose_folder, is_main_process
from kinema.recipes.terminal import plain_console
from kinema.recipes.train import TrainConfig, run_training
from kinema.recipes.trained_before import check_unseen, free_name, list_checkpoints, training_pace

if TYPE_CHECKING:
    from kinema.datasets.dataset import DataSet
    from kinema.evaluation import Evaluation, Failed
    from kinema.evaluation.report import Report
    from kinema.models.checkpoint import ModelCard

log = logging.getLogger("kinema")

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

    def to_json(self) -> dict[str, Any]:
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


def compare(data: str, config: CompareConfig = CompareConfig()) -> int:
    """Train several networks on the same videos and see what each way of using time is worth.

    Prints the table of Karpathy et al. (2014): clip hit@1, video hit@1 and hit@5 beside parameters, multiply-adds and
    speed, the classes that gain and lose most against the first network, and the average of all networks. Files that
    cannot be read are named, and leave exit status 1.

    Examples:
        kinema compare videos/

        kinema compare videos/ --models single_frame_small,slow_fusion_small --epochs 40 --sampling spread --out runs/time

        kinema compare runs/a/split.csv --checkpoints runs/a runs/b runs/c

    Args:
        data: a folder of class folders, a manifest (.csv, .parquet), or a data set's list file.
    """
    names, trained = config.names, list_checkpoints(config.checkpoints)
    if len(names) + len(trained) < 2 or len(set(names)) < len(names):
        what = "--models needs at least two different networks"
        raise ConfigError(what, ",".join(names) or "none", "give names with commas, or --checkpoints")
    check_networks(names, config)
    listed = config.open(data)
    for folder in trained:
        check_unseen(folder, listed)
    folder = choose_folder(config.out, "compare")
    check_results(folder, ("compare.csv", "report.html"), own="compare.json")
    rows = run_comparison(listed, names, config, folder, trained)
    if not is_main_process():
        return 0
    if config.json:
        print(json.dumps({"data": data, "networks": [row.to_json() for row in rows]}))
    else:
        print_comparison(rows)
        print(f"report: {folder}/report.html")
    return name_failures(row.evaluation.failures for row in rows)


def name_failures(groups: Iterable[Iterable[Failed]]) -> int:
    """Name the videos that could not be read, each once, on standard error; gives the exit status that they leave."""
    told = {failed.key: failed.error for group in groups for failed in group}
    for key, error in told.items():
        log.error("%s", error if key in error else f"{key}: {error}")
    return 1 if told else 0


def check_networks(names: Sequence[str], config: CompareConfig) -> None:
    """Build every network without its weights, so that the last one is not found wrong hours after the first.

    Raises:
        UnknownName, ConfigError: a network cannot be built like this.
    """
    from kinema.models import build_without_weights

    for name in names:
        arguments = settings_for(name, config).build_arguments()
        build_without_weights(name, num_classes=2, **{**arguments, "pretrained": False, "backbone_weights": None})


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
    data: DataSet, names: Sequence[str], config: CompareConfig, folder: Path, trained: Sequence[Path] = ()
) -> list[Row]:
    """Train and judge each network in a folder of its own; a finished one is not trained again with --resume.

    Args:
        data: divided into parts.
        names: networks to train.
        config: how all of them are trained and judged.
        folder: for the run folders and the report.
        trained: checkpoint folders of networks that are judged only.
    """
    rows = []
    for number, name in enumerate(names, 1):
        home = folder / name
        resume = config.resume and (home / "config.toml").exists()
        settings = replace(settings_for(name, config), out=str(home), resume=resume)
        run = run_training(data, settings, home, f"{name} ({number}/{len(names)})")
        rows.append(_judge(run.folder / "best", name, data, config, run.clips_per_s))
    for checkpoint in trained:
        name = free_name(checkpoint, {row.name for row in rows})
        rows.append(_judge(checkpoint, name, data, config, training_pace(checkpoint)))
    if is_main_process():
        rows.append(_average_of(rows))
        write_comparison(rows, folder)
    return rows


def _judge(checkpoint: Path, name: str, data: DataSet, config: CompareConfig, clips_per_s: float | None) -> Row:
    from kinema.models.checkpoint import load_checkpoint
    from kinema.models.summary import summarize
    from kinema.recipes.evaluate import ScoringOptions, evaluate_network

    network, card = load_checkpoint(checkpoint)
    options = ScoringOptions(
        clips=config.clips, crops=config.crops, batch_size=config.batch_size, workers=config.workers,
        precision=config.precision, cache=config.cache, flow_cache=config.flow_cache,
        flips=config.flips and learned_mirrored(card),
    )  # fmt: skip
    evaluation = evaluate_network(network, card, data.part("valid"), options=options, progress=False)
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


def print_comparison(rows: Sequence[Row], title: str = "") -> None:
    """The table and the classes that gain and lose, on standard output."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

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
