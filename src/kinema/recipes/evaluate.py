"""`kinema evaluate`: what a trained network is worth on labelled videos. `train` and `compare` judge through here."""

from __future__ import annotations

import json
import logging
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kinema.errors import ConfigError, DataError, UnknownName, check_settings
from kinema.recipes.options import EngineName, FlowMethod, check_crops
from kinema.recipes.outputs import check_results
from kinema.recipes.terminal import bar_columns, plain_console
from kinema.recipes.trained import open_trained

if TYPE_CHECKING:
    from kinema.datasets.dataset import DataSet
    from kinema.evaluation import Evaluation
    from kinema.evaluation.step_result import StepEvaluation
    from kinema.inference.scoring import ClipScorer, Scored
    from kinema.models.checkpoint import ModelCard
    from kinema.models.network import Network

log = logging.getLogger("kinema")

FILES = ("evaluation.json", "per_class.csv", "predictions.csv", "report.html")


@dataclass(frozen=True, kw_only=True)
class ScoringOptions:
    """How videos are shown to a network when it is judged."""

    clips: int = 1
    """Clips of each video whose scores are averaged."""
    crops: int = 1
    """Crops of each clip: 1 (centre) or 3 (left, centre, right)."""
    flips: bool = False
    """Show every crop mirrored as well."""
    batch_size: int = 16
    """Clips that go through the network at once."""
    workers: int | None = None
    """Processes that decode; without it one for each core but one, at most 8."""
    device: str = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:1."""
    precision: Literal["auto", "f32", "bf16", "fp16", "int8"] = "auto"
    """Number format; auto is bf16 where the machine is fast at it, else f32; int8 is that of a file exported so."""
    cache: str | None = None
    """Folder in which decoded, shrunk frames are kept."""
    flow_cache: str | None = None
    """For networks that see optical flow: the folder it is kept in; without it .kinema/flow beside the videos."""

    def __post_init__(self) -> None:
        check_settings({"clips": self.clips, "batch_size": self.batch_size}, 1)
        check_settings({"workers": self.workers}, 0)
        check_crops(self.crops)


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(ScoringOptions):
    """Settings of an evaluation."""

    split: Literal["auto", "train", "valid", "test", "all"] = "auto"
    """The part of the data; auto takes valid, else test, else everything."""
    format: Literal["auto", "folder", "manifest", "ucf101", "hmdb51", "kinetics", "sports1m", "stills"] = "auto"
    """How the data set is laid out; auto looks."""
    engine: EngineName = "torch"
    """What computes: torch, openvino or winograd (on a CPU, prepared at the first use), or auto: what is usually the fastest."""
    flow_method: FlowMethod | None = None
    """How optical flow is computed: a network's own method, which it takes anyway; any other is refused."""
    out: str | None = None
    """Folder for evaluation.json, per_class.csv, predictions.csv and report.html."""
    json: bool = False
    """Print the result as JSON."""


def evaluate(checkpoint: str, data: str, config: EvaluateConfig = EvaluateConfig()) -> int:
    """Judge a trained network on labelled videos.

    Prints hits by clip and by video, macro-F1 and mean class accuracy with 95 % intervals (bootstrap over videos), and
    the table of classes. Files that cannot be read are named and counted, and leave exit status 1.

    Examples:
        kinema evaluate runs/slow_fusion-1/best videos/

        kinema evaluate runs/slow_fusion-1 films.csv --split test --clips 10 --crops 3 --out judged/

        kinema evaluate runs/slow_fusion-1/best videos/ --json

        kinema evaluate slowfast_r50_8x8 kinetics/val.csv --clips 10 --crops 3

    Args:
        checkpoint: a checkpoint folder, a run folder with best/ in it, published weights (`kinema models --weights`), or
            a file of `kinema export` (.onnx, .xml).
        data: a folder of class folders, a manifest (.csv, .parquet), or a data set's list file.
    """
    from kinema.clips.flow import check_flow
    from kinema.models.trained import checkpoint_folder

    if config.out:
        check_results(config.out, FILES, own="evaluation.json")
    folder = checkpoint_folder(checkpoint)
    network, card = _open(checkpoint, config)
    check_flow(network.spec, config.flow_method)
    listed = open_for(card, data, config.format)
    part = part_name(listed, config.split)
    examples = choose_part(listed, part, kept_back(folder))
    learned_from = card.data.get("root")
    if part in ("all", "train") and learned_from and Path(learned_from).resolve() == Path(listed.root).resolve():
        log.warning(
            "%s: the network learned from these videos; %s", data, kept_back(folder) or "take others to judge it"
        )
    started = time.monotonic()
    evaluation = judge_network(network, card, examples, options=config)
    seconds = time.monotonic() - started
    about = {"model": checkpoint, "data": data, "part": part, "seconds": round(seconds, 2)}
    evaluation = replace(evaluation, about=about)
    if config.json:
        print(json.dumps(evaluation.to_json(), ensure_ascii=False), flush=True)
    else:
        print_evaluation(evaluation, card.variant)
    report_failures(evaluation)
    if config.out:
        evaluation.save(config.out, title=f"Evaluation of {card.variant}")
        log.info("report: %s/report.html", config.out)
    return 1 if evaluation.failures else 0


def _open(model: str, config: EvaluateConfig) -> tuple[Network | ClipScorer, ModelCard]:
    """A trained network, one for another engine, or an exported file."""
    from kinema.inference.engine import open_scorer
    from kinema.inference.exported import is_exported, open_exported

    running: dict[str, Any] = {"device": config.device, "precision": config.precision, "batch_size": config.batch_size}
    if is_exported(model):
        return open_exported(model, **running, engine=config.engine)
    network, card = open_trained(model)
    if config.engine == "torch" and card.each_step:
        return network, card
    return open_scorer(network, card, **running, engine=config.engine), card


def judge_network(
    network: Network | ClipScorer, card: ModelCard, data: DataSet, *, options: ScoringOptions, progress: bool = True
) -> Evaluation | StepEvaluation:
    """Judge a network in the way it was trained: `evaluate_network`, or at each step where it answers there."""
    if not card.each_step:
        return evaluate_network(network, card, data, options=options, progress=progress)
    from kinema.inference.scoring import ClipScorer
    from kinema.recipes.each_step import evaluate_each_step

    if isinstance(network, ClipScorer):
        do = "evaluate the checkpoint itself, with --engine torch"
        raise ConfigError("networks that answer at each frame are judged in torch only", card.variant, do)
    return evaluate_each_step(network, card, data, options, progress)


def evaluate_network(
    network: Network | ClipScorer,
    card: ModelCard,
    data: DataSet,
    *,
    options: ScoringOptions = ScoringOptions(),
    progress: bool = True,
) -> Evaluation:
    """Show every example to the network and judge its scores.

    The network is left as it was: on its device, and in training mode if it was. Where several processes run, they
    share the examples and all get the whole result.

    Args:
        network: what is judged.
        card: names its classes.
        data: labelled videos; its classes are those of the card, in the same order.
        options: views, batch size, device.
        progress: show a bar on standard error.

    Raises:
        DataError: the classes differ, or not one video can be read.
    """
    from kinema.evaluation.protocols import Protocol

    if tuple(data.labels) != tuple(card.labels):
        raise DataError(
            "the classes are not those of the network", data.root, "open the data with the network's labels"
        )
    scored = score(network, data, options, progress)
    if options.flips and (pairs := card.training.get("mirror_labels")):
        _turn_mirrored(scored, data.labels.mirrored(pairs), options.crops)
    return judge(scored, data, card, Protocol(options.clips, options.crops, options.flips).name)


def _turn_mirrored(scored: Scored, mirror: tuple[int, ...], crops: int) -> None:
    """Give each mirrored view's scores to the classes that its own turn into; half of each clip's views are mirrored."""
    for rows in scored.logits.values():
        for first in range(crops, len(rows), 2 * crops):
            rows[first : first + crops] = rows[first : first + crops, list(mirror)]


def score(network: Network | ClipScorer, data: DataSet, options: ScoringOptions, progress: bool = True) -> Scored:
    """The logits of every example, in the views that the options ask for."""
    from kinema.datasets.cache import FrameCache
    from kinema.datasets.clips import Views
    from kinema.datasets.flow_cache import open_flow_cache
    from kinema.inference.scoring import score_data

    with progress_bar("evaluating", len(data.examples), shown=progress) as advance:
        return score_data(
            network, data, Views(options.clips, options.crops, options.flips), workers=options.workers,
            cache=FrameCache(options.cache) if options.cache else None,
            flow_cache=open_flow_cache(options.flow_cache, data, network.spec), advance=advance,
            device=options.device, precision=options.precision, batch_size=options.batch_size,
        )  # fmt: skip


def judge(scored: Scored, data: DataSet, card: ModelCard, protocol: str) -> Evaluation:
    """Compare the logits of a data set's examples with its labels."""
    from kinema.evaluation import Failed, VideoScores, evaluate_scores
    from kinema.inference.scoring import to_scores

    examples = data.examples
    videos = [
        VideoScores(e.key, data.targets(e), to_scores(rows, card.multi_label), group=e.group or e.path)
        for e, rows in ((examples[index], rows) for index, rows in sorted(scored.logits.items()))
    ]
    failures = [Failed(examples[index].key, reason) for index, reason in sorted(scored.broken.items())]
    return evaluate_scores(videos, data.labels, multi_label=card.multi_label, protocol=protocol, failures=failures)


def open_for(card: ModelCard, data: str, format: str = "auto") -> DataSet:
    """List a data set with the classes of a network.

    Raises:
        DataError: it has a class that the network does not know.
    """
    from kinema.datasets import open_data
    from kinema.labels import Labels

    try:
        return open_data(data, format=format, labels=Labels(tuple(card.labels)))
    except UnknownName as error:
        if not str(error).startswith("no class"):
            raise
        hint = error.do if error.do.endswith("?") else f"{error.do}."
        do = f"{hint} Correct the label, or train a network that knows it"
        raise DataError(f"the network has {error.what}", data, do) from error


def part_name(data: DataSet, name: str) -> str:
    """The part that is meant: "auto" is valid, else test, else "all"."""
    return next((part for part in ("valid", "test") if part in data.parts), "all") if name == "auto" else name


def kept_back(folder: Path) -> str:
    """How to judge a run's network on what it did not learn from; empty where its division is not beside it."""
    division = folder.parent / "split.csv"
    if not division.is_file():
        return ""
    command = shlex.join(["kinema", "evaluate", str(folder), str(division), "--split", "valid"])
    return f"`{command}` takes those kept back"


def choose_part(data: DataSet, name: str, hint: str = "") -> DataSet:
    """One part of a data set; "auto" is valid, else test, else everything. `hint` says what to do where it has none.

    Raises:
        DataError: there is no such part.
    """
    name = part_name(data, name)
    if hint and name != "all" and not data.parts:
        raise DataError(f"no {name} part, the data set is not divided", data.root, hint)
    return data if name == "all" else data.part(name)


@contextmanager
def progress_bar(title: str, total: int, *, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, where that is a terminal; gives the function that moves it on."""
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    console = plain_console(stderr=True)
    if not (shown and console.is_terminal):
        yield lambda count: None
        return
    columns = bar_columns(MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda count: bar.advance(task, count)


def report_failures(evaluation: Evaluation | StepEvaluation) -> None:
    """Name the videos that could not be read, on standard error."""
    for failed in evaluation.failures:
        log.error("%s", failed.error if failed.key in failed.error else f"{failed.key}: {failed.error}")


def print_evaluation(evaluation: Evaluation | StepEvaluation, name: str) -> None:
    """The figures and the class table, on standard output."""
    from rich.table import Table

    from kinema.evaluation.report import FIGURE_NAMES

    console = plain_console()
    failed = f", {evaluation.num_failed} could not be read" if evaluation.num_failed else ""
    console.print(f"{name} on {evaluation.num_videos} videos{failed}, {evaluation.views}")
    figures = Table("figure", "value", "95 % interval", box=None, pad_edge=False)
    for key in (key for key in FIGURE_NAMES if key in evaluation.figures):
        low, high = evaluation.intervals.get(key, (None, None))
        figures.add_row(FIGURE_NAMES[key], f"{evaluation[key]:.3f}", "" if low is None else f"{low:.3f} - {high:.3f}")
    console.print(figures)
    table = Table("class", box=None, pad_edge=False)
    for column in (evaluation.unit, "precision", "recall", "F1"):
        table.add_column(column, justify="right")
    for row in evaluation.classes:
        scores = [f"{value:.3f}" if row.n else "–" for value in (row.precision, row.recall, row.f1)]
        table.add_row(row.label, str(row.n), *scores)
    console.print()
    console.print(table)
