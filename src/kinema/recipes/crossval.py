"""`kinema crossval`: K trainings, each judged by the part that it did not see: every video is judged once.

With a few hundred videos one validation part is too small to tell two settings apart, and may have come out easy.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, Literal, cast

from kinema.errors import ConfigError, check_broken, check_settings
from kinema.recipes.run_folder import check_same, choose_folder, is_main_process, resumable, start_folder
from kinema.recipes.starting import rehearse
from kinema.recipes.terminal import plain_console
from kinema.recipes.train import TrainConfig, Trained, run_training

if TYPE_CHECKING:
    from kinema.datasets.dataset import DataSet
    from kinema.evaluation import Evaluation

log = logging.getLogger("kinema")


@dataclass(frozen=True, kw_only=True)
class CrossvalConfig(TrainConfig):
    """Settings of a cross-validation: those of each training, and how many there are."""

    folds: int = 5
    """Parts that the data is divided into; each is kept back once."""
    judged: Literal["last", "best"] = "last"
    """The network that each part judges. The best epoch is chosen by the part that then judges it, which flatters."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_settings({"folds": self.folds}, 2)
        if self.each_step:
            raise ConfigError("a cross-validation judges whole clips", "--each-step", "take `kinema train`")
        if self.valid_groups:
            raise ConfigError(
                "every group is kept back once", f"--valid-groups {' '.join(self.valid_groups)}", "leave this out"
            )


@dataclass(frozen=True)
class Folds:
    """What came of a cross-validation: the judgement of each fold, and that of all videos together."""

    each: tuple[Evaluation, ...]
    pooled: Evaluation

    def spread(self) -> dict[str, dict[str, Any]]:
        """Mean, standard deviation and values of each figure over the folds."""
        found = {}
        for name in self.pooled.figures:
            values = [evaluation.figures[name] for evaluation in self.each]
            found[name] = {"mean": fmean(values), "sd": stdev(values), "folds": values}
        return found

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return {
            "figures": self.spread(),
            "pooled": self.pooled.figures,
            "intervals": self.pooled.intervals,
            "num_videos": self.pooled.num_videos,
            "num_failed": self.pooled.num_failed,
        }


def crossval(data: str, config: CrossvalConfig) -> int:
    """Train a network several times, each time keeping back another part of the data, and judge it by that part.

    Groups are never torn, as in `train`; parts of the data's own are put together first, but a test part is left alone.
    Leaves a run folder for each fold, and in the folder above them the figures over all.

    Examples:
        kinema crossval videos/ --model slow_fusion_small --folds 5

        kinema crossval films.csv --model single_frame_small --group-by match --folds 10 --out runs/ten

        kinema crossval videos/ --model single_frame --backbone resnet18 --pretrained --transfer head --keep-features kept/

    Args:
        data: a folder of class folders, a manifest (.csv, .parquet), or a data set's list file.
    """
    divisions = _divisions(data, config)
    _check(config)
    folder = choose_folder(config.out, f"{config.model}-crossval")
    if config.resume:
        check_same(folder, config)
    else:
        start_folder(folder, config, {"data": str(divisions[0].root)})
    with resumable(folder):
        folds = run_folds(divisions, config, folder)
    if not is_main_process():
        return 0
    summary = {"run": str(folder), "model": config.model, "judged": config.judged, **folds.to_json()}
    _write(folder, folds, summary)
    if config.json:
        print(json.dumps(summary))
    else:
        print_folds(folds, config)
        print(f"report: {folder}/report.html")
    return 0


def _divisions(data: str, config: CrossvalConfig) -> list[DataSet]:
    from kinema.datasets import open_data
    from kinema.datasets.folds import fold_data

    listed = open_data(data, format=config.format, fold=config.fold, group_by=config.group_by)
    config.turns(listed)  # raises now what would be found when there is a folder
    return fold_data(listed, config.folds, by=config.split, seed=config.split_seed)


def _check(config: CrossvalConfig) -> None:
    """Find wrong settings before there is a folder."""
    from kinema.models import build_without_weights

    if not config.init:
        arguments = {**config.build_arguments(), "pretrained": False, "backbone_weights": None}
        rehearse(config, build_without_weights(config.model, num_classes=2, **arguments))


def run_folds(divisions: Sequence[DataSet], config: CrossvalConfig, folder: Path) -> Folds:
    """Train and judge a network for each division; a finished one is not trained again with --resume.

    Raises:
        TooManyBroken: of all examples, more than `config.max_broken` cannot be read. Divisions hold the same examples, so
            that this comes with the first of them.
    """
    each: list[Evaluation] = []
    broken: dict[str, str] = {}
    num_listed = sum(example.split != "test" for example in divisions[0].examples)
    for number, division in enumerate(divisions, 1):
        home = folder / f"fold-{number}"
        resume = config.resume and (home / "config.toml").exists()
        shared = {field.name: getattr(config, field.name) for field in fields(TrainConfig)}
        settings = TrainConfig(**{**shared, "out": str(home), "resume": resume, "json": False})
        trained = run_training(division, settings, home, f"{config.model} fold {number}/{len(divisions)}", num_listed)
        each.append(_judged(trained, division, config))
        broken |= trained.summary["broken"] | {failed.key: failed.error for failed in each[-1].failures}
        check_broken(broken, num_listed, config.max_broken)
    return Folds(tuple(each), pool(each))


def _judged(trained: Trained, division: DataSet, config: CrossvalConfig) -> Evaluation:
    from kinema.models.checkpoint import load_checkpoint
    from kinema.recipes.evaluate import evaluate_network

    if config.judged == "best":
        return cast("Evaluation", trained.evaluation)  # never one of steps: see CrossvalConfig
    network, card = load_checkpoint(trained.folder / "last")
    return evaluate_network(network, card, division.part("valid"), options=config.scoring_options(), progress=False)


def pool(evaluations: Sequence[Evaluation]) -> Evaluation:
    """One judgement over the videos of several: each was scored by a network that had not seen it."""
    from kinema.evaluation import evaluate_scores

    first = evaluations[0]
    return evaluate_scores(
        [video for evaluation in evaluations for video in evaluation.videos],
        first.labels,
        multi_label=first.multi_label,
        protocol=first.protocol,
        failures=[failed for evaluation in evaluations for failed in evaluation.failures],
    )


def print_folds(folds: Folds, config: CrossvalConfig) -> None:
    """Mean and deviation over the folds beside the figures over all videos, on standard output."""
    from rich.table import Table

    console = plain_console()
    failed = f", {folds.pooled.num_failed} could not be read" if folds.pooled.num_failed else ""
    about = f"{config.model}: {len(folds.each)} folds, {folds.pooled.num_videos} videos{failed}"
    console.print(about)
    table = Table("figure", box=None, pad_edge=False)
    for head in ("mean ± sd", "all videos", "95 % interval"):
        table.add_column(head, justify="right")
    for row in _rows(folds):
        table.add_row(*row)
    console.print(table)


def _rows(folds: Folds) -> list[list[str]]:
    from kinema.evaluation.report import FIGURE_NAMES

    rows = []
    for name, found in folds.spread().items():
        if name in FIGURE_NAMES:
            low, high = folds.pooled.intervals.get(name, (None, None))
            interval = "" if low is None else f"{low:.3f} - {high:.3f}"
            spread = f"{found['mean']:.3f} ± {found['sd']:.3f}"
            rows.append([FIGURE_NAMES[name], spread, f"{folds.pooled.figures[name]:.3f}", interval])
    return rows


def _write(folder: Path, folds: Folds, summary: dict[str, Any]) -> None:
    from kinema.evaluation.report import FIGURE_NAMES, Report, add_evaluation
    from kinema.files import write_json

    title = f"Cross-validation of {folder.name}"
    replace(folds.pooled, about={"folds": len(folds.each)}).save(folder, title)
    write_json(folder / "summary.json", summary)
    report = Report(title, f"{len(folds.each)} folds; every video was judged by a network that had not seen it")
    report.add_section("Over the folds").add_table(["figure", "mean ± sd", "all videos", "95 % interval"], _rows(folds))
    shown = [name for name in FIGURE_NAMES if name in folds.pooled.figures]
    names = [FIGURE_NAMES[name] for name in shown]
    rows = [
        [number, fold.num_videos, *map(fold.figures.__getitem__, shown)] for number, fold in enumerate(folds.each, 1)
    ]
    report.add_table(["fold", "videos", *names], rows, shares=names)
    add_evaluation(report, folds.pooled).write(folder / "report.html")
