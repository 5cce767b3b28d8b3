"""Train and judge several networks in the same way: what each way of using time gains on these videos, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.errors import check_settings
from kinema.runs.comparison import Comparison, NetworkResult, write_comparison
from kinema.runs.config import LearningConfig, TrainConfig
from kinema.runs.folder import is_main_process
from kinema.runs.options import ScoringOptions, check_crops
from kinema.runs.progress import SILENT, Progress
from kinema.runs.unseen import free_name, training_speed

if TYPE_CHECKING:
    from kinema.datasets.dataset import DataSet
    from kinema.weights.checkpoint import ModelCard

MODELS = "single_frame_small,late_fusion_small,early_fusion_small,slow_fusion_small"


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
) -> Comparison:
    """Train and judge each network in a folder of its own; with --resume, finished ones are not trained again.

    The main process also writes compare.json, compare.csv and report.html.

    Args:
        data: divided into parts.
        names: networks to train.
        config: settings of the training and the evaluation of all networks.
        folder: for the run folders and the report.
        trained: checkpoint folders of networks that are only judged.
        progress: receives the progress of each training.
    """
    from kinema.runs.fit import fit

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
    comparison = Comparison(data.root, "valid", tuple(results), data.part("valid").examples[0].path)
    if is_main_process():
        write_comparison(comparison, folder)
    return comparison


def _judge(
    checkpoint: Path, name: str, data: DataSet, config: CompareConfig, clips_per_s: float | None
) -> NetworkResult:
    from kinema.inspection.summary import summarize
    from kinema.runs.tasks.clip import TASK
    from kinema.weights.checkpoint import load_checkpoint

    network, card = load_checkpoint(checkpoint)
    options = ScoringOptions(
        clips=config.clips, crops=config.crops, batch_size=config.batch_size, workers=config.workers,
        precision=config.precision, cache=config.cache, flow_cache=config.flow_cache,
        flips=config.flips and learned_mirrored(card),
    )  # fmt: skip
    evaluation = TASK.judge(network, card, data.part("valid"), options, SILENT)
    summary = summarize(network, network.spec.shape)
    return NetworkResult(name, evaluation, summary.params, summary.macs, clips_per_s, checkpoint)


def learned_mirrored(card: ModelCard) -> bool:
    """Whether a network was trained on mirrored clips. Cards that do not say so, such as published ones, count as no."""
    from kinema.clips.transforms import PRESETS

    share = card.training.get("flip")
    if share is None:
        preset = PRESETS.get(str(card.training.get("augment")))
        share = preset.flip if preset else 0.0
    return isinstance(share, float | int) and share > 0
