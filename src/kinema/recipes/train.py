"""`kinema train`: from a data set to a run folder with checkpoints, curves and a report."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kinema.errors import CheckpointError, ConfigError, DataError, check_settings
from kinema.recipes.options import DataOptions, ModelOptions
from kinema.recipes.run_folder import check_same, choose_folder, is_main_process, start_folder
from kinema.training.options import FitOptions

if TYPE_CHECKING:
    from kinema.clips.transforms import Augment
    from kinema.datasets.dataset import DataSet
    from kinema.evaluation import Evaluation
    from kinema.models.checkpoint import ModelCard
    from kinema.models.network import Network
    from kinema.training.loop import Validate

log = logging.getLogger("kinema")


@dataclass(frozen=True, kw_only=True)
class LearningConfig(DataOptions, ModelOptions, FitOptions):
    """Settings of one training run or of several alike."""

    augment: Literal["none", "light", "standard", "strong", "karpathy"] = "standard"
    """How clips are varied while training."""
    flip: float | None = None
    """Share of the clips that are mirrored; 0 where left and right matter."""
    crop_scale: float | None = None
    """Smallest share of the picture that a random crop keeps."""
    valid_clips: int = 1
    """Clips that each validation video is judged by."""
    cache: str | None = None
    """Folder in which decoded, shrunk frames are kept, which makes later epochs faster."""
    tensorboard: bool = False
    """Write TensorBoard files too."""
    out: str | None = None
    """The folder for all that comes out; without it the next free one in runs/."""
    resume: bool = False
    """Go on with the run in --out, in the middle of an epoch if need be."""
    json: bool = False
    """Print the result as JSON."""

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = ("clip_len", "frame_stride", "valid_clips")
        check_settings({name: getattr(self, name) for name in counts}, 1)
        check_settings({"fps": self.fps, "crop_scale": self.crop_scale}, 0.01)
        check_settings({"flip": self.flip, "crop_scale": self.crop_scale}, 0, 1)
        check_settings({"valid_fraction": self.valid_fraction}, 0.001, 0.999)
        if self.resume and not self.out:
            raise ConfigError("--resume needs the folder of the run", "--out", "give --out FOLDER")


@dataclass(frozen=True, kw_only=True)
class TrainConfig(LearningConfig):
    """Settings of a training run."""

    model: str
    """The network's name; `kinema models` lists them."""
    init: str | None = None
    """Start from this checkpoint's weights and input; its classifier is kept if the classes are the same."""


@dataclass(frozen=True)
class Trained:
    """What a run left: its folder, the judgement of its best network, and how long an epoch took."""

    folder: Path
    evaluation: Evaluation
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

        kinema train videos/ --model slow_fusion_small --out runs/a --resume

        torchrun --nproc-per-node 2 -m kinema train videos/ --model single_frame_small --out runs/b

    Args:
        data: a folder of class folders, a manifest (.csv, .parquet), or a data set's list file.
    """
    listed = config.open(data)
    folder = choose_folder(config.out, config.model)
    trained = run_training(listed, config, folder)
    if not is_main_process():
        return 0
    if config.json:
        print(json.dumps(trained.summary))
    else:
        figures = trained.evaluation.figures
        print(
            f"{folder}: video hit@1 {figures['video_hit_at_1']:.1%}, macro F1 {figures['macro_f1']:.3f} on validation"
        )
        print(f"  kinema predict VIDEO --model {folder}/best")
        print(f"  report: {folder}/report.html")
    return 0


def run_training(data: DataSet, config: TrainConfig, folder: Path, title: str = "") -> Trained:
    """Train one network in `folder` and judge its best epoch on the validation part.

    Raises:
        DataError: a part of the data is missing.
        OutputError: the folder holds something already.
        CheckpointError, ConfigError: --resume finds no run, or another one.
    """
    learning, validation = data.part("train"), data.part("valid")
    _require(data, learning, validation)
    network = build_network(config, data, learning)
    card = _card(config, data, network)
    _rehearse(config, network)
    if config.resume:
        check_same(folder, config)
    else:
        start_folder(folder, config, {"data": str(data.root), "split_fingerprint": data.fingerprint})
        _write_split(data, folder)
    started = time.monotonic()
    progress = _fit(config, (learning, validation), network, card, folder, title or config.model)
    seconds = time.monotonic() - started
    return _finish(folder, validation, config, progress, seconds)


def _require(data: DataSet, learning: DataSet, validation: DataSet) -> None:
    if len(learning.examples) < 2:
        raise DataError(
            "a training part of at least two examples is needed", data.root, "add videos or set --valid-fraction"
        )
    if not validation.examples:
        raise DataError("there is no validation part", data.root, "add a valid/ folder or set --valid-fraction")


def _rehearse(config: TrainConfig, network: Network) -> None:
    """Find wrong settings before there is a folder that a corrected command would not overwrite."""
    from kinema.training.transfer import freeze

    augmentation(config)
    freeze(network, config)


def build_network(config: TrainConfig, data: DataSet, learning: DataSet) -> Network:
    """The network that the settings describe, for the classes of the data."""
    from kinema import models
    from kinema.datasets.clips import typical_duration_s
    from kinema.training.loop import seed_weights

    seed_weights(config.seed)
    if config.init:
        return _initial(config, data)
    arguments = config.build_arguments()
    network = models.build(config.model, num_classes=len(data.labels), **arguments)
    if network.spec.sampling == "spread" and network.spec.window_s is None:
        network.spec = network.spec.with_(window_s=typical_duration_s(learning))
    return network


def _initial(config: TrainConfig, data: DataSet) -> Network:
    from kinema.inference.predictor import checkpoint_folder
    from kinema.models.checkpoint import load_checkpoint

    network, card = load_checkpoint(checkpoint_folder(str(config.init)))
    if card.variant != config.model:
        raise CheckpointError(f"--init holds a {card.variant}", config.init or "", f"give --model {card.variant}")
    asked = config.build_arguments()
    other = [name for name, value in asked.pop("spec").items() if getattr(network.spec, name) != value]
    other += [name for name, value in asked.items() if value and card.arguments.get(name) != value]
    if other:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in other)
        raise ConfigError("a checkpoint keeps its own network and input", flags, "leave this out, or --init")
    if tuple(card.labels) != tuple(data.labels):
        network.reset_classifier(len(data.labels))
    return network


def _card(config: TrainConfig, data: DataSet, network: Network) -> ModelCard:
    from dataclasses import asdict

    from kinema.models.checkpoint import ModelCard

    return ModelCard(
        variant=network.variant,
        arguments=network.arguments,
        labels=tuple(data.labels),
        multi_label=data.multi_label,
        input=network.spec,
        training=asdict(config),
        data={"name": data.name, "root": str(data.root), "split_fingerprint": data.fingerprint},
    )


def augmentation(config: TrainConfig) -> Augment:
    """The preset with what the settings change of it."""
    from kinema.clips.transforms import PRESETS

    augment = PRESETS[config.augment]
    if config.flip is not None:
        augment = replace(augment, flip=config.flip)
    if config.crop_scale is not None:
        augment = replace(augment, scale=(config.crop_scale, 1.0))
    return augment


def _write_split(data: DataSet, folder: Path) -> None:
    from kinema.datasets.check import write_manifest

    if is_main_process():
        write_manifest(data, folder / "split.csv")


def _fit(
    config: TrainConfig, parts: tuple[DataSet, DataSet], network: Network, card: ModelCard, folder: Path, title: str
) -> Any:
    from kinema.datasets.cache import FrameCache
    from kinema.datasets.clips import ClipDataset
    from kinema.training.loop import Run, Trainer
    from kinema.training.record import Display, Recorder

    learning, validation = parts
    cache = FrameCache(config.cache) if config.cache else None
    clips = ClipDataset(learning, network.spec, augment=augmentation(config), seed=config.seed, cache=cache)
    validate = validator(config, validation, card)
    if not is_main_process():
        recorder = Recorder(folder, card, None)
        return Trainer(Run(network, clips, validate, config, folder / "state.pt", recorder)).fit(config.resume)
    with Display(title, config.epochs) as display:
        recorder = Recorder(folder, card, display, config.tensorboard)
        run = Run(network, clips, validate, config, folder / "state.pt", recorder)
        return Trainer(run).fit(config.resume)


def validator(config: TrainConfig, validation: DataSet, card: ModelCard) -> Validate:
    """A function that judges a network on the validation part; processes share the videos out."""
    from kinema.recipes.evaluate import evaluate_network

    def validate(network: Network) -> dict[str, float]:
        evaluation = evaluate_network(network, card, validation, options=_evaluation(config), progress=False)
        return {**evaluation.figures, "loss": mean_loss(evaluation)}

    return validate


def mean_loss(evaluation: Evaluation) -> float:
    """Mean negative log-likelihood of the true classes, by the video scores."""
    import numpy as np

    chances = [float(video.video[target]) for video in evaluation.videos for target in video.targets]
    return float(-np.log(np.maximum(chances, 1e-12)).mean())


def _evaluation(config: TrainConfig) -> Any:
    from kinema.recipes.evaluate import ScoringOptions

    return ScoringOptions(
        clips=config.valid_clips, batch_size=config.batch_size, workers=config.workers, precision=config.precision,
        cache=config.cache,
    )  # fmt: skip


def _finish(folder: Path, validation: DataSet, config: TrainConfig, progress: Any, seconds: float) -> Trained:
    """Judge the best checkpoint as a user of it would, and write what a person wants to look at."""
    from kinema.models.checkpoint import load_checkpoint
    from kinema.recipes.evaluate import evaluate_network

    network, card = load_checkpoint(folder / "best")
    evaluation = evaluate_network(network, card, validation, options=_evaluation(config), progress=False)
    pace = sorted(row["clips_per_s"] for row in progress.history)[len(progress.history) // 2]
    summary = {
        "run": str(folder),
        "best_epoch": progress.best_epoch + 1,
        "epochs": len(progress.history),
        "seconds": round(seconds, 1),
        "clips_per_s": round(pace, 2),
        "broken": progress.broken,
        "num_failed": evaluation.num_failed,
        **evaluation.figures,
    }
    if is_main_process():
        _write_results(folder, evaluation, progress.history, summary)
    return Trained(folder, evaluation, pace, seconds, summary)


def _write_results(
    folder: Path, evaluation: Evaluation, history: list[dict[str, float]], summary: dict[str, Any]
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
    report = add_evaluation(Report(f"Training of {folder.name}", subtitle), evaluation)
    add_training(report, history).write(folder / "report.html")
    if summary["broken"]:
        log.warning(
            "%d training examples could not be read and were left out: see summary.json", len(summary["broken"])
        )
    report_failures(evaluation)
