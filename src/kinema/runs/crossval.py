"""Cross-validation: K trainings, each judged on the part that it was not trained on, so that every video is judged once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Literal, cast

from kinema.errors import ConfigError, check_broken, check_settings
from kinema.runs.config import TrainConfig
from kinema.runs.progress import SILENT, Progress

if TYPE_CHECKING:
    from kinema.datasets.dataset import DataSet
    from kinema.evaluation import Evaluation


@dataclass(frozen=True, kw_only=True)
class CrossvalConfig(TrainConfig):
    """Settings of a cross-validation: those of each training, and the number of folds."""

    folds: int = 5
    """Parts that the data is divided into; each is held out once."""
    judged: Literal["last", "best"] = "last"
    """The network that each part judges: of the last or the best epoch. The same part chooses the best epoch, so that its
    figures are too high."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_settings({"folds": self.folds}, 2)
        if self.task not in ("clip", "kept"):
            flag = "--each-step" if self.each_step else f"--task {self.task}"
            raise ConfigError("a cross-validation judges whole clips", flag, "take `kinema train`")
        if self.valid_groups:
            raise ConfigError(
                "every group is held out once", f"--valid-groups {' '.join(self.valid_groups)}", "leave this out"
            )


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the folds: its mean, standard deviation, and value in each."""

    mean: float
    sd: float
    folds: tuple[float, ...]


@dataclass(frozen=True)
class Folds:
    """The result of a cross-validation: the judgement of each fold, and that of all videos together."""

    each: tuple[Evaluation, ...]
    pooled: Evaluation

    def spread(self) -> dict[str, Spread]:
        """Mean, standard deviation and values of each figure over the folds."""
        found = {}
        for name in self.pooled.figures:
            values = [evaluation.figures[name] for evaluation in self.each]
            found[name] = Spread(fmean(values), stdev(values), tuple(values))
        return found

    def to_json(self) -> dict[str, object]:
        """A plain dictionary."""
        from kinema.evaluation.remarks import certainty_json

        return {
            "figures": {name: asdict(spread) for name, spread in self.spread().items()},
            "pooled": self.pooled.figures,
            "num_videos": self.pooled.num_videos,
            "num_failed": self.pooled.num_failed,
            **certainty_json(self.pooled),
        }


def divide(data: str, config: CrossvalConfig) -> list[DataSet]:
    """List a data set and divide it once for each fold."""
    from kinema.datasets import open_data
    from kinema.datasets.folds import fold_data

    listed = open_data(
        data, format=config.format, fold=config.fold, group_by=config.group_by, image_fps=config.image_fps
    )
    config.label_flips(listed)  # raises its errors before there is a folder
    return fold_data(listed, config.folds, by=config.split, seed=config.split_seed)


def check_network(config: CrossvalConfig) -> None:
    """Find wrong settings before there is a folder.

    Raises:
        ConfigError, UnknownName: the network cannot be built or trained with these settings.
    """
    from kinema.runs.start import rehearse

    if not config.init:
        rehearse(config, config.build_without_weights(config.model))


def run_folds(divisions: Sequence[DataSet], config: CrossvalConfig, folder: Path, progress: Progress = SILENT) -> Folds:
    """Train and judge a network for each division; with --resume, finished ones are not trained again.

    Raises:
        TooManyBroken: more than `config.max_broken` of all examples cannot be read. All divisions hold the same examples, so
            the first training raises this.
    """
    from kinema.runs.fit import fit
    from kinema.runs.tasks.clip import TASK
    from kinema.weights.checkpoint import load_checkpoint

    each: list[Evaluation] = []
    broken: dict[str, str] = {}
    num_listed = sum(example.split != "test" for example in divisions[0].examples)
    for number, division in enumerate(divisions, 1):
        home = folder / f"fold-{number}"
        resume = config.resume and (home / "config.toml").exists()
        shared = {field.name: getattr(config, field.name) for field in fields(TrainConfig)}
        settings = TrainConfig(**{**shared, "out": str(home), "resume": resume, "json": False})
        title = f"{config.model} fold {number}/{len(divisions)}"
        trained = fit(division, settings, home, title=title, num_listed=num_listed, progress=progress)
        if config.judged == "best":
            each.append(cast("Evaluation", trained.evaluation))  # of task clip: see CrossvalConfig
        else:
            network, card = load_checkpoint(trained.folder / "last")
            each.append(TASK.judge(network, card, division.part("valid"), config.scoring_options(), SILENT))
        broken |= dict(trained.broken) | {failed.key: failed.error for failed in each[-1].failures}
        check_broken(broken, num_listed, config.max_broken)
    return Folds(tuple(each), pool(each))


def pool(evaluations: Sequence[Evaluation]) -> Evaluation:
    """One judgement over the videos of several evaluations; no video was in the training of the network that scored it."""
    from kinema.evaluation import evaluate_scores

    first = evaluations[0]
    return evaluate_scores(
        [video for evaluation in evaluations for video in evaluation.videos],
        first.labels,
        multi_label=first.multi_label,
        protocol=first.protocol,
        failures=[failed for evaluation in evaluations for failed in evaluation.failures],
    )


HEADS = ("figure", "mean ± sd", "all videos", "95 % interval", "largest class", "chance")


def table_rows(folds: Folds) -> list[list[str]]:
    """A row for each figure: mean and deviation over the folds, the figure over all videos, its interval, the baselines."""
    from kinema.evaluation.remarks import baseline_figures, shown

    rows, spread = [], folds.spread()
    for name, figure in shown(folds.pooled).items():
        low, high = folds.pooled.intervals.get(name, (None, None))
        interval, known = "" if low is None else f"{low:.3f} - {high:.3f}", baseline_figures(folds.pooled, name)
        ways = [f"{known[way]:.3f}" if way in known else "" for way in HEADS[4:]]
        mean = f"{spread[name].mean:.3f} ± {spread[name].sd:.3f}"
        rows.append([figure, mean, f"{folds.pooled.figures[name]:.3f}", interval, *ways])
    return rows


def write_folds(folder: Path, folds: Folds, summary: dict[str, object]) -> None:
    """Write the figures over all folds: summary.json, report.html and the files of an evaluation."""
    from kinema.evaluation.remarks import shown
    from kinema.evaluation.report import Report, add_evaluation, save
    from kinema.files import write_json

    title = f"Cross-validation of {folder.name}"
    save(folds.pooled, folder, title, {"folds": len(folds.each)})
    write_json(folder / "summary.json", summary)
    report = Report(title, f"{len(folds.each)} folds; every video was judged by a network that had not seen it")
    report.add_section("Over the folds").add_table(HEADS, table_rows(folds))
    names = shown(folds.pooled)
    rows = [
        [number, fold.num_videos, *map(fold.figures.__getitem__, names)] for number, fold in enumerate(folds.each, 1)
    ]
    report.add_table(["fold", "videos", *names.values()], rows, shares=list(names.values()))
    add_evaluation(report, folds.pooled).write(folder / "report.html")
