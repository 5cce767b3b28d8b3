"""`kinema train`: from a data set to a run folder with checkpoints, curves and a report."""

from __future__ import annotations

import json
import logging
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinema.errors import DataError
from kinema.recipes.each_step import prepare, step_material
from kinema.recipes.kept_features import feature_material
from kinema.recipes.learning import LearningConfig
from kinema.recipes.run_folder import check_same, choose_folder, is_main_process, resumable, start_folder
from kinema.recipes.starting import build_network, rehearse

if TYPE_CHECKING:
    from kinema.datasets.dataset import DataSet
    from kinema.evaluation import Evaluation
    from kinema.evaluation.step_result import StepEvaluation
    from kinema.models.checkpoint import ModelCard
    from kinema.models.network import Network

log = logging.getLogger("kinema")


@dataclass(frozen=True, kw_only=True)
class TrainConfig(LearningConfig):
    """Settings of a training run."""

    model: str
    """The network's name; `kinema models` lists them."""
    init: str | None = None
    """Start from the weights of this checkpoint, or from published weights (`kinema models --weights`), and from their
    input where no other is given, such as longer clips; the classifier is kept if the classes are the same."""
    each_step: bool = False
    """Learn the label of each frame, from a manifest's rows with start and end, in place of one label a clip."""
    background: str = "background"
    """With --each-step: the class of times that no row covers; an empty name leaves them out."""


@dataclass(frozen=True)
class Trained:
    """What a run left: its folder, the judgement of its best network, and how long an epoch took."""

    folder: Path
    evaluation: Evaluation | StepEvaluation
    clips_per_s: float
    seconds: float
    summary: dict[str, Any]


def train(data: str, config: TrainConfig) -> int:
    """Train a network on a data set.

    The run folder gets best/ and last/ (checkpoints that every command takes), epochs.csv, curves.png, confusion.png,
    report.html, the resolved configuration and the division of the data.

    Examples:
        kinema train videos/ --model slow_fusion_small --epochs 30

        kinema train films.csv --model late_fusion --backbone mobilenetv2_100 --pretrained --transfer last:3

        kinema train videos/ --model r2plus1d_18 --init r2plus1d_18 --transfer last:2

        kinema train videos/ --model slow_fusion_small --out runs/a --resume

        torchrun --nproc-per-node 2 -m kinema train videos/ --model single_frame_small --out runs/b

    Args:
        data: a folder of class folders, a manifest (.csv, .parquet), or a data set's list file.
    """
    listed = config.open(data)
    folder = choose_folder(config.out, config.model)
    with resumable(folder):
        trained = run_training(listed, config, folder)
    if not is_main_process():
        return 0
    if config.json:
        print(json.dumps(trained.summary))
    else:
        figures = trained.evaluation.figures
        name, words = ("frame_accuracy", "frame accuracy") if config.each_step else ("video_hit_at_1", "video hit@1")
        print(f"{folder}: {words} {figures[name]:.1%}, macro F1 {figures['macro_f1']:.3f} on validation")
        print(f"  kinema predict VIDEO --model {shlex.quote(f'{folder}/best')}")
        print(f"  report: {folder}/report.html")
    return 0


def run_training(
    data: DataSet, config: TrainConfig, folder: Path, title: str = "", num_listed: int | None = None
) -> Trained:
    """Train one network in `folder` and judge its best epoch on the validation part.

    Args:
        data: divided into parts.
        config: how to train.
        folder: of the run; a new one, or with `config.resume` that of the run.
        title: what the progress bar is called; the network's name where it is empty.
        num_listed: of how many examples `config.max_broken` is the share; None: of those in the training part.

    Raises:
        TooManyBroken: more of them cannot be read.
        DataError: a part of the data is missing.
        OutputError: the folder holds something already.
        CheckpointError, ConfigError: --resume finds no run, or another one.
    """
    from kinema.datasets.copies import warn_of_copies
    from kinema.datasets.flow_cache import open_flow_cache

    if config.each_step:
        data, config = prepare(data, config)
    learning, validation = data.part("train"), data.part("valid")
    _require(data, learning, validation)
    if is_main_process():
        warn_of_copies(learning, validation)
    network = build_network(config, data, learning)
    card = _card(config, data, network)
    rehearse(config, network)
    config.turns(data)
    open_flow_cache(config.flow_cache, learning, network.spec)  # raises now what would be found when the run has begun
    if config.resume:
        check_same(folder, config)
    else:
        start_folder(folder, config, {"data": str(data.root), "split_fingerprint": data.fingerprint})
        _write_split(data, folder)
    started = time.monotonic()
    progress = _fit(config, (learning, validation), network, card, folder, title or config.model, num_listed)
    seconds = time.monotonic() - started
    return _finish(folder, (learning, validation), config, progress, seconds)


def _require(data: DataSet, learning: DataSet, validation: DataSet) -> None:
    if len(learning.examples) < 2:
        raise DataError(
            "a training part of at least two examples is needed", data.root, "add videos or set --valid-fraction"
        )
    if not validation.examples:
        raise DataError("there is no validation part", data.root, "add a valid/ folder or set --valid-fraction")


def _card(config: TrainConfig, data: DataSet, network: Network) -> ModelCard:
    from dataclasses import asdict

    from kinema.models.checkpoint import ModelCard

    return ModelCard(
        variant=network.variant,
        arguments=network.arguments,
        labels=tuple(data.labels),
        multi_label=data.multi_label,
        each_step=config.each_step,
        input=network.spec,
        training=asdict(config),
        data={"name": data.name, "root": str(data.root), "split_fingerprint": data.fingerprint},
    )


def _write_split(data: DataSet, folder: Path) -> None:
    from kinema.datasets.check import write_manifest

    if is_main_process():
        write_manifest(data, folder / "split.csv")


def _fit(
    config: TrainConfig,
    parts: tuple[DataSet, DataSet],
    network: Network,
    card: ModelCard,
    folder: Path,
    title: str,
    num_listed: int | None,
) -> Any:
    from kinema.training.loop import Run, Trainer
    from kinema.training.record import Display, Recorder

    kind = step_material if config.each_step else feature_material if config.keep_features else _clip_material
    material = kind(config, parts, network, card)
    material |= {"network": network, "state_path": folder / "state.pt", "num_listed": num_listed}
    run = Run(listener=Recorder(folder, card), **material)
    resume = config.resume and run.state_path.exists()  # a run that was killed before its first state begins again
    if not is_main_process():
        return Trainer(run).fit(resume)
    with Display(title, config.epochs) as display:
        run.listener = Recorder(folder, card, display, config.tensorboard)
        return Trainer(run).fit(resume)


def _clip_material(
    config: TrainConfig, parts: tuple[DataSet, DataSet], network: Network, card: ModelCard
) -> dict[str, Any]:
    """What a run learns from and is validated by, as arguments of `Run`; processes share the videos out."""
    from kinema.datasets.clips import ClipDataset
    from kinema.recipes.evaluate import evaluate_network

    def validate(network: Network) -> dict[str, float]:
        evaluation = evaluate_network(network, card, parts[1], options=config.scoring_options(), progress=False)
        return {**evaluation.figures, "loss": evaluation.loss}

    clips = ClipDataset(**config.varied_arguments(parts[0], network.spec))
    return {"data": clips, "options": config, "validate": validate}


def _finish(
    folder: Path, parts: tuple[DataSet, DataSet], config: TrainConfig, progress: Any, seconds: float
) -> Trained:
    """Judge the best checkpoint as a user of it would, and write what a person wants to look at."""
    from kinema.models.checkpoint import load_checkpoint
    from kinema.recipes.evaluate import judge_network

    network, card = load_checkpoint(folder / "best")
    evaluation = judge_network(network, card, parts[1], options=config.scoring_options(), progress=False)
    pace = sorted(row["clips_per_s"] for row in progress.history)[len(progress.history) // 2]
    summary = {
        "run": str(folder),
        "best_epoch": progress.best_epoch + 1,
        "epochs": len(progress.history),
        "seconds": round(seconds, 1),
        "clips_per_s": round(pace, 2),
        "broken": progress.broken,
        "skipped_steps": progress.skipped,
        "num_failed": evaluation.num_failed,
        **evaluation.figures,
    }
    if is_main_process():
        _write_results(folder, evaluation, progress.history, summary, _about(config, parts))
    return Trained(folder, evaluation, pace, seconds, summary)


def _about(config: TrainConfig, parts: tuple[DataSet, DataSet]) -> str:
    """What learned from what, in a sentence."""
    network = f"{config.model} on {config.backbone}" if config.backbone else config.model
    learning, validation = parts
    counts = f"{len(learning)} training and {len(validation)} validation videos"
    return f"{network}, {counts} of {learning.root}"


def _write_results(
    folder: Path,
    evaluation: Evaluation | StepEvaluation,
    history: list[dict[str, float]],
    summary: dict[str, Any],
    about: str,
) -> None:
    from kinema import charts
    from kinema.evaluation.report import Report, add_evaluation, add_training
    from kinema.files import write_json
    from kinema.recipes.evaluate import report_failures

    write_json(folder / "summary.json", summary)
    write_json(folder / "evaluation.json", evaluation.to_json())
    if evaluation.confusion is not None:
        charts.save_figure(
            charts.confusion_matrix(evaluation.confusion, tuple(evaluation.labels)), folder / "confusion.png"
        )
    subtitle = f"best of {summary['epochs']} epochs: {summary['best_epoch']}, {summary['seconds']:.0f} s in all"
    report = add_evaluation(Report(f"Training of {folder.name}", f"{about}; {subtitle}"), evaluation)
    if summary["broken"]:
        left_out = report.add_section("Training files left out: they could not be read")
        left_out.add_table(["video", "error"], list(summary["broken"].items()))
    add_training(report, history).write(folder / "report.html")
    if summary["broken"]:
        log.warning(
            "%d training examples could not be read and were left out: see summary.json", len(summary["broken"])
        )
    report_failures(evaluation)
