"""Train one network in a run folder and judge its best epoch."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.errors import DataError
from kinema.runs.folder import check_same, is_main_process, start_folder
from kinema.runs.judge import judge_network
from kinema.runs.progress import SILENT, Progress
from kinema.runs.start import build_network, rehearse
from kinema.runs.task import Parts, find_task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kinema.datasets.dataset import DataSet
    from kinema.evaluation import Judgement
    from kinema.models.network import Network
    from kinema.runs.config import TrainConfig
    from kinema.training.state import Progress as TrainingState
    from kinema.weights.checkpoint import ModelCard

log = logging.getLogger("kinema")


@dataclass(frozen=True)
class Trained:
    """What a run left: its folder, the judgement of its best network, and clips a second in training.

    `broken` names the training examples that could not be read, and why; `summary` is what summary.json holds.
    """

    folder: Path
    evaluation: Judgement
    clips_per_s: float
    broken: Mapping[str, str]
    summary: Mapping[str, object]


def fit(
    data: DataSet,
    config: TrainConfig,
    folder: Path,
    *,
    title: str = "",
    num_listed: int | None = None,
    progress: Progress = SILENT,
) -> Trained:
    """Train one network in `folder` and judge its best epoch on the validation part.

    Args:
        data: divided into parts.
        config: how to train.
        folder: of the run; a new one, or with `config.resume` that of the run.
        title: what the progress bar is called; the network's name where it is empty.
        num_listed: of how many examples `config.max_broken` is the share; None: of those in the training part.
        progress: told how far the run is.

    Raises:
        TooManyBroken: more of them cannot be read.
        DataError: a part of the data is missing.
        OutputError: the folder holds something already.
        CheckpointError, ConfigError: --resume finds no run, or another one.
    """
    from kinema.datasets.check import write_manifest
    from kinema.datasets.copies import warn_of_copies
    from kinema.datasets.flow_cache import open_flow_cache

    data, config = find_task(config.task).prepare(data, config)
    parts = Parts(data.part("train"), data.part("valid"))
    _check_parts(data, parts)
    if is_main_process():
        warn_of_copies(parts.training, parts.validation)
    network = build_network(config, data, parts.training, progress)
    card = _card(config, data, network)
    rehearse(config, network)
    config.turns(data)
    open_flow_cache(config.flow_cache, parts.training, network.spec)  # raises now what would be found in the run
    if config.resume:
        check_same(folder, config)
    else:
        start_folder(folder, config, {"data": str(data.root), "split_fingerprint": data.fingerprint})
        if is_main_process():
            write_manifest(data, folder / "split.csv")
    started = time.monotonic()
    state = _train(config, parts, network, card, folder, title or config.model, num_listed, progress)
    seconds = time.monotonic() - started
    return _finish(folder, parts, config, state, seconds)


def _check_parts(data: DataSet, parts: Parts) -> None:
    if len(parts.training.examples) < 2:
        raise DataError(
            "a training part of at least two examples is needed", data.root, "add videos or set --valid-fraction"
        )
    if not parts.validation.examples:
        raise DataError("there is no validation part", data.root, "add a valid/ folder or set --valid-fraction")


def _card(config: TrainConfig, data: DataSet, network: Network) -> ModelCard:
    from kinema.weights.checkpoint import ModelCard

    return ModelCard(
        variant=network.variant,
        arguments=network.arguments,
        labels=tuple(data.labels),
        multi_label=data.multi_label,
        task=find_task(config.task).card_task,
        input=network.spec,
        training=asdict(config),
        data={"name": data.name, "root": str(data.root), "split_fingerprint": data.fingerprint},
    )


def _train(
    config: TrainConfig,
    parts: Parts,
    network: Network,
    card: ModelCard,
    folder: Path,
    title: str,
    num_listed: int | None,
    progress: Progress,
) -> TrainingState:
    from kinema.training.loop import Run, Trainer
    from kinema.training.record import Recorder

    inputs = find_task(config.task).training_inputs(parts, config, network, card, progress)
    is_main, state_path = is_main_process(), folder / "state.pt"
    with progress.training(title, config.epochs) if is_main else nullcontext(None) as display:
        run = Run(
            network=network, data=inputs.data, validate=inputs.validate, options=inputs.options,
            state_path=state_path, listener=Recorder(folder, card, display, config.tensorboard and is_main),
            objective=inputs.objective, collate=inputs.collate, num_listed=num_listed,
        )  # fmt: skip
        return Trainer(run).fit(config.resume and state_path.exists())  # killed before its first state: begins again


def _finish(folder: Path, parts: Parts, config: TrainConfig, state: TrainingState, seconds: float) -> Trained:
    """Judge the best checkpoint as a user of it would, and write what a person wants to look at."""
    from kinema.weights.checkpoint import load_checkpoint

    network, card = load_checkpoint(folder / "best")
    evaluation = judge_network(network, card, parts.validation, config.scoring_options())
    pace = sorted(row["clips_per_s"] for row in state.history)[len(state.history) // 2]
    summary = {
        "run": str(folder),
        "best_epoch": state.best_epoch + 1,
        "epochs": len(state.history),
        "seconds": round(seconds, 1),
        "clips_per_s": round(pace, 2),
        "broken": state.broken,
        "skipped_steps": state.skipped,
        "num_failed": evaluation.num_failed,
        **evaluation.figures,
    }
    trained = Trained(folder, evaluation, pace, state.broken, summary)
    if is_main_process():
        name = f"{config.model} on {config.backbone}" if config.backbone else config.model
        counts = f"{len(parts.training)} training and {len(parts.validation)} validation videos"
        _write_results(trained, state.history, f"{name}, {counts} of {parts.training.root}")
    return trained


def _write_results(trained: Trained, history: list[dict[str, float]], about: str) -> None:
    """summary.json, evaluation.json, confusion.png and report.html; `about` says what learned from what."""
    from kinema import charts
    from kinema.evaluation.report import Report, add_evaluation, add_training
    from kinema.files import write_json

    folder, evaluation, summary = trained.folder, trained.evaluation, trained.summary
    write_json(folder / "summary.json", summary)
    write_json(folder / "evaluation.json", evaluation.to_json())
    if evaluation.confusion is not None:
        figure = charts.confusion_matrix(evaluation.confusion, tuple(evaluation.labels))
        charts.save_figure(figure, folder / "confusion.png")
    subtitle = f"best of {summary['epochs']} epochs: {summary['best_epoch']}, {summary['seconds']:.0f} s in all"
    report = add_evaluation(Report(f"Training of {folder.name}", f"{about}; {subtitle}"), evaluation)
    if trained.broken:
        left_out = report.add_section("Training files left out: they could not be read")
        left_out.add_table(["video", "error"], list(trained.broken.items()))
        count = len(trained.broken)
        log.warning("%d training examples could not be read and were left out: see summary.json", count)
    add_training(report, history).write(folder / "report.html")
