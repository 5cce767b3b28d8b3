"""`kinema train`: from a data set to a run folder with checkpoints, curves and a report."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kinema.errors import CheckpointError, ConfigError, DataError, check_settings
from kinema.files import check_folder
from kinema.recipes.each_step import prepare, step_material
from kinema.recipes.options import DataOptions, ModelOptions
from kinema.recipes.run_folder import check_same, choose_folder, is_main_process, start_folder
from kinema.recipes.trained import open_trained
from kinema.training.options import FitOptions

if TYPE_CHECKING:
    from kinema.clips.transforms import Augment
    from kinema.datasets.dataset import DataSet
    from kinema.evaluation import Evaluation
    from kinema.evaluation.step_result import StepEvaluation
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
    """Share of the clips that are mirrored; 0 where left and right matter, or name the classes in --mirror-labels."""
    mirror_labels: list[str] = field(default_factory=list)
    """Pairs of classes that turn into each other when a clip is mirrored, as "swipe left=swipe right"."""
    jitter: float | None = None
    """Brightness, contrast and saturation change by up to this share."""
    rotate: float = 0.0
    """Clips are turned by up to this many degrees, either way."""
    time_scale: float = 1.0
    """For networks that see frames spread over the video: the smallest share of its time that a clip is spread over."""
    crop_scale: float | None = None
    """Smallest share of the picture that a random crop keeps."""
    valid_clips: int = 1
    """Clips that each validation video is judged by."""
    cache: str | None = None
    """Folder in which decoded, shrunk frames are kept, which makes later epochs faster."""
    keep_features: str | None = None
    """With --transfer head: folder in which the frozen part's outputs are kept, so that videos go through it only once."""
    feature_views: int = 1
    """Views of each training video that --keep-features keeps: the plain one, and further ones drawn by --augment."""
    flow_cache: str | None = None
    """For networks that see optical flow: the folder it is kept in; without it .kinema/flow beside the videos."""
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
        counts = ("clip_len", "frame_stride", "valid_clips", "feature_views")
        check_settings({name: getattr(self, name) for name in counts}, 1)
        check_settings({"fps": self.fps, "crop_scale": self.crop_scale}, 0.01)
        check_settings({"flip": self.flip, "crop_scale": self.crop_scale, "jitter": self.jitter}, 0, 1)
        check_settings({"time_scale": self.time_scale}, 0.05, 1)
        check_settings({"rotate": self.rotate}, 0, 180)
        check_settings({"valid_fraction": self.valid_fraction}, 0.001, 0.999)
        if self.mirror_labels and self.keep_features:
            do = "leave --mirror-labels out and give --flip 0"
            raise ConfigError("kept features are those of one label a video", "--mirror-labels", do)
        if self.feature_views > 1 and not self.keep_features:
            raise ConfigError(
                "--feature-views goes with kept features", self.feature_views, "give --keep-features FOLDER"
            )
        if self.resume and not self.out:
            raise ConfigError("--resume needs the folder of the run", "--out", "give --out FOLDER")


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
    trained = run_training(listed, config, folder)
    if not is_main_process():
        return 0
    if config.json:
        print(json.dumps(trained.summary))
    else:
        figures = trained.evaluation.figures
        name, words = ("frame_accuracy", "frame accuracy") if config.each_step else ("video_hit_at_1", "video hit@1")
        print(f"{folder}: {words} {figures[name]:.1%}, macro F1 {figures['macro_f1']:.3f} on validation")
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
    from kinema.datasets.flow_cache import open_flow_cache

    if config.each_step:
        data, config = prepare(data, config)
    learning, validation = data.part("train"), data.part("valid")
    _require(data, learning, validation)
    network = build_network(config, data, learning)
    card = _card(config, data, network)
    rehearse(config, network)
    mirror_of(config, data)
    open_flow_cache(config.flow_cache, learning, network.spec)  # raises now what would be found when the run has begun
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


def rehearse(config: TrainConfig, network: Network) -> None:
    """Find wrong settings before there is a folder that a corrected command would not overwrite."""
    from kinema.training.feature_objective import check_kept
    from kinema.training.step_objective import check_steps
    from kinema.training.transfer import freeze

    _check_variation(config, network)
    freeze(network, config)
    if config.each_step:
        check_steps(network, config)
    if config.keep_features:
        check_folder(config.keep_features)
        check_kept(network, config)


def _check_variation(config: TrainConfig, network: Network) -> None:
    if config.mirror_labels and not augmentation(config).flip:
        raise ConfigError("no clip is mirrored", "--mirror-labels", "leave it out, or give --flip 0.5")
    if config.time_scale < 1 and network.spec.sampling != "spread":
        do = "leave it out, or give --sampling spread"
        raise ConfigError("only clips that are spread over a video are varied in time", "--time-scale", do)


def build_network(config: TrainConfig, data: DataSet, learning: DataSet) -> Network:
    """The network that the settings describe, for the classes of the data."""
    from kinema import models
    from kinema.datasets.clips import typical_duration_s
    from kinema.training.loop import seed_weights

    seed_weights(config.seed)
    if config.init:
        network = _initial(config, data)
    else:
        network = models.build(config.model, num_classes=len(data.labels), **config.build_arguments())
    if network.spec.sampling == "spread" and network.spec.window_s is None:
        network.spec = network.spec.with_(window_s=typical_duration_s(learning))
    return network


def _initial(config: TrainConfig, data: DataSet) -> Network:
    from kinema.models.trained import fed_otherwise, names_published, trained_card

    card = trained_card(str(config.init))
    if card.variant != config.model:
        raise CheckpointError(f"--init holds a {card.variant}", config.init or "", f"give --model {card.variant}")
    asked = config.build_arguments()
    changes = {name: value for name, value in asked.pop("spec").items() if getattr(card.input, name) != value}
    other = [name for name, value in asked.items() if card.arguments.get(name) != value]
    if not names_published(str(config.init)):
        other += [name for name in changes if name == "flow"]
    if other:
        flags = ", ".join("--flow-method" if name == "flow" else f"--{name.replace('_', '-')}" for name in other)
        raise ConfigError("a checkpoint keeps its own network and flow", flags, "leave this out, or --init")
    network, card = open_trained(str(config.init))
    if changes:
        network = fed_otherwise(network, changes)
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
        each_step=config.each_step,
        input=network.spec,
        training=asdict(config),
        data={"name": data.name, "root": str(data.root), "split_fingerprint": data.fingerprint},
    )


def augmentation(config: LearningConfig) -> Augment:
    """The preset with what the settings change of it."""
    from kinema.clips.transforms import PRESETS

    changed: dict[str, Any] = {name: getattr(config, name) for name in ("flip", "jitter", "rotate", "time_scale")}
    if config.crop_scale is not None:
        changed["scale"] = (config.crop_scale, 1.0)
    return replace(PRESETS[config.augment], **{name: value for name, value in changed.items() if value is not None})


def mirror_of(config: LearningConfig, data: DataSet) -> tuple[int, ...] | None:
    """The class that each class turns into in a mirrored clip, where the settings name some."""
    return data.labels.mirrored(config.mirror_labels) if config.mirror_labels else None


def _write_split(data: DataSet, folder: Path) -> None:
    from kinema.datasets.check import write_manifest

    if is_main_process():
        write_manifest(data, folder / "split.csv")


def _fit(
    config: TrainConfig, parts: tuple[DataSet, DataSet], network: Network, card: ModelCard, folder: Path, title: str
) -> Any:
    from kinema.recipes.kept_features import feature_material
    from kinema.training.loop import Run, Trainer
    from kinema.training.record import Display, Recorder

    kind = step_material if config.each_step else feature_material if config.keep_features else _clip_material
    material = kind(config, parts, network, card)
    run = Run(network=network, state_path=folder / "state.pt", listener=Recorder(folder, card), **material)
    resume = config.resume and run.state_path.exists()  # a run that was killed before its first state begins again
    if not is_main_process():
        return Trainer(run).fit(resume)
    with Display(title, config.epochs) as display:
        run.listener = Recorder(folder, card, display, config.tensorboard)
        return Trainer(run).fit(resume)


def _clip_material(
    config: LearningConfig, parts: tuple[DataSet, DataSet], network: Network, card: ModelCard
) -> dict[str, Any]:
    """What a run learns from and is validated by, as arguments of `Run`."""
    from kinema.datasets.cache import FrameCache
    from kinema.datasets.clips import ClipDataset
    from kinema.datasets.flow_cache import open_flow_cache

    cache = FrameCache(config.cache) if config.cache else None
    kept: dict[str, Any] = {"cache": cache, "flow_cache": open_flow_cache(config.flow_cache, parts[0], network.spec)}
    clips = ClipDataset(
        parts[0],
        network.spec,
        augment=augmentation(config),
        seed=config.seed,
        mirror=mirror_of(config, parts[0]),
        **kept,
    )
    return {"data": clips, "options": config, "validate": validator(config, parts[1], card)}


def validator(config: LearningConfig, validation: DataSet, card: ModelCard) -> Validate:
    """A function that judges a network on the validation part; processes share the videos out."""
    from kinema.recipes.evaluate import evaluate_network

    def validate(network: Network) -> dict[str, float]:
        evaluation = evaluate_network(network, card, validation, options=evaluation_options(config), progress=False)
        return {**evaluation.figures, "loss": mean_loss(evaluation)}

    return validate


def mean_loss(evaluation: Evaluation) -> float:
    """Mean negative log-likelihood of the true classes, by the video scores."""
    import numpy as np

    chances = [float(video.video[target]) for video in evaluation.videos for target in video.targets]
    return float(-np.log(np.maximum(chances, 1e-12)).mean())


def evaluation_options(config: LearningConfig) -> Any:
    """How the network of a run is judged on the validation part."""
    from kinema.recipes.evaluate import ScoringOptions

    return ScoringOptions(
        clips=config.valid_clips, batch_size=config.batch_size, workers=config.workers, precision=config.precision,
        cache=config.cache, flow_cache=config.flow_cache,
    )  # fmt: skip


def _finish(folder: Path, validation: DataSet, config: TrainConfig, progress: Any, seconds: float) -> Trained:
    """Judge the best checkpoint as a user of it would, and write what a person wants to look at."""
    from kinema.models.checkpoint import load_checkpoint
    from kinema.recipes.evaluate import judge_network

    network, card = load_checkpoint(folder / "best")
    evaluation = judge_network(network, card, validation, options=evaluation_options(config), progress=False)
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
        _write_results(folder, evaluation, progress.history, summary)
    return Trained(folder, evaluation, pace, seconds, summary)


def _write_results(
    folder: Path, evaluation: Evaluation | StepEvaluation, history: list[dict[str, float]], summary: dict[str, Any]
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
