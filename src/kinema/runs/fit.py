"""Train one network in a run folder and judge its best epoch."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.runs.folder import check_new, check_same, is_main_process, only_process, start_folder
from kinema.runs.judge import judge_network
from kinema.runs.progress import SILENT, Progress
from kinema.runs.start import build_network, rehearse
from kinema.runs.task import CLASS_COUNTS, Parts, find_task, training_counts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kinema.datasets.dataset import DataSet
    from kinema.evaluation import Judgement
    from kinema.models.network import Network
    from kinema.runs.config import TrainConfig
    from kinema.training.state import EpochRow, TrainingState
    from kinema.weights.checkpoint import ModelCard

log = logging.getLogger("kinema")


@dataclass(frozen=True)
class Trained:
    """The result of a run: its folder, the judgement of its best network, and the training speed in clips a second.

    `broken` names the training examples that could not be read, and why; `summary` is the content of summary.json.
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
        config: settings of the training.
        folder: of the run; a new one, or with `config.resume` that of the run to resume.
        title: of the progress bar; by default the network's name.
        num_listed: number of examples that `config.max_broken` is a share of; by default those of the training part.
        progress: receives the progress of the run.

    Raises:
        TooManyBroken: more examples than that cannot be read.
        DataError: a part of the data is missing.
        OutputError: the folder is not empty.
        CheckpointError, ConfigError: --resume finds no run, or one with other settings.
    """
    from kinema.datasets.check import write_manifest
    from kinema.datasets.copies import warn_of_copies
    from kinema.datasets.flow_cache import open_flow_cache
    from kinema.weights.checkpoint import ModelCard

    task = find_task(config.task)
    data, config = task.prepare(data, config)
    parts = Parts.of(data)
    if is_main_process():
        warn_of_copies(parts.training, parts.validation)
    network = build_network(config, data, parts.training, progress)
    counts = task.class_counts(parts.training, config)
    card = ModelCard.of(
        network, task.outputs(data), multi_label=data.multi_label, task=task.card_task, training=asdict(config),
        data={"name": data.name, "root": str(data.root), "split_fingerprint": data.fingerprint}
        | ({CLASS_COUNTS: counts} if counts else {}),
    )  # fmt: skip
    rehearse(config, network)  # finds wrong settings before there is a run folder
    config.label_flips(data)
    open_flow_cache(config.flow_cache, parts.training, network.spec)
    if config.resume:
        check_same(folder, config)
    elif is_main_process():
        check_new(folder)
    with only_process(folder):
        if not config.resume:
            start_folder(folder, config, {"data": str(data.root), "split_fingerprint": data.fingerprint})
            if is_main_process():
                write_manifest(data, folder / "split.csv")
        started = time.monotonic()
        state = _train(config, parts, network, card, folder, title or config.model, num_listed, progress)
        return _finish(folder, parts, config, state, time.monotonic() - started)


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
    from kinema.training.loop import Trainer, TrainingRun
    from kinema.training.record import Recorder

    inputs = find_task(config.task).training_inputs(parts, config, network, card, progress)
    is_main, state_path = is_main_process(), folder / "state.pt"
    with progress.training(title, config.epochs) if is_main else nullcontext(None) as display:
        run = TrainingRun(
            network=network, data=inputs.data, validate=inputs.validate, options=inputs.options,
            state_path=state_path, listener=Recorder(folder, card, display, config.tensorboard and is_main),
            objective=inputs.objective, collate=inputs.collate, num_listed=num_listed,
        )  # fmt: skip
        # A run that was killed before its first state starts again.
        return Trainer(run).fit(config.resume and state_path.exists())


GUESSING, MIN_EPOCHS = 0.98, 3
"""Share of the loss of guessing that counts as guessing, and the epochs after which a run is judged by it."""


def hardly_learned(history: Sequence[EpochRow], card: ModelCard) -> str:
    """A sentence if the training loss never fell below that of guessing, else an empty text.

    The best that a network can do without looking is to give each class its share of the training part; its cross-entropy is
    then the entropy of these shares.
    """
    import numpy as np

    counts = np.asarray(training_counts(card), np.float64)
    if card.multi_label or len(history) < MIN_EPOCHS or not counts.sum():
        return ""
    shares = counts[counts > 0] / counts.sum()
    guessing, lowest = float(-(shares * np.log(shares)).sum()), min(row["train_loss"] for row in history)
    if not 0 < GUESSING * guessing <= lowest:
        return ""
    return f"the training loss ({lowest:.3f}) stayed at that of guessing ({guessing:.3f}): the network has learned nothing yet"


def _finish(folder: Path, parts: Parts, config: TrainConfig, state: TrainingState, seconds: float) -> Trained:
    """Judge the best checkpoint and write summary.json, evaluation.json, confusion.png and report.html."""
    from kinema.evaluation.remarks import certainty_json
    from kinema.files import write_json
    from kinema.weights.checkpoint import load_checkpoint

    network, card = load_checkpoint(folder / "best")
    evaluation = judge_network(network, card, parts.validation, config.scoring_options())
    clips_per_s = sorted(row["clips_per_s"] for row in state.history)[len(state.history) // 2]
    summary = {
        "run": str(folder),
        "best_epoch": state.best_epoch + 1,
        "epochs": len(state.history),
        "seconds": round(seconds, 1),
        "clips_per_s": round(clips_per_s, 2),
        "broken": state.broken,
        "skipped_steps": state.skipped,
        "learned": not (remark := hardly_learned(state.history, card)),
        "num_failed": evaluation.num_failed,
        **evaluation.figures,
        **certainty_json(evaluation),
    }
    trained = Trained(folder, evaluation, clips_per_s, state.broken, summary)
    if not is_main_process():
        return trained
    if remark:
        log.warning("%s: %s; try another --lr, more --epochs, or check the labels", folder, remark)
    if state.broken:
        count = len(state.broken)
        log.warning("%d training examples could not be read and were left out: see summary.json", count)
    write_json(folder / "summary.json", summary)
    write_json(folder / "evaluation.json", evaluation.to_json())
    _write_report(trained, parts, config, state, seconds)
    return trained


def _write_report(trained: Trained, parts: Parts, config: TrainConfig, state: TrainingState, seconds: float) -> None:
    """Write confusion.png and report.html."""
    from kinema import charts
    from kinema.evaluation.report import Report, add_evaluation, add_training

    folder, evaluation = trained.folder, trained.evaluation
    if evaluation.confusion is not None:
        figure = charts.confusion_matrix(evaluation.confusion, tuple(evaluation.labels))
        charts.save_figure(figure, folder / "confusion.png")
    name = f"{config.model} on {config.backbone}" if config.backbone else config.model
    counts = f"{len(parts.training)} training and {len(parts.validation)} validation videos"
    epochs = f"best of {len(state.history)} epochs: {state.best_epoch + 1}, {seconds:.0f} s in all"
    subtitle = f"{name}, {counts} of {parts.training.root}; {epochs}"
    report = add_evaluation(Report(f"Training of {folder.name}", subtitle), evaluation)
    if state.broken:
        left_out = report.add_section("Training files left out: they could not be read")
        left_out.add_table(["video", "error"], list(state.broken.items()))
    add_training(report, state.history).write(folder / "report.html")
