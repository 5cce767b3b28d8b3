"""`kinema evaluate`: how good a trained network is on labelled videos."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.choices import DataFormat, Engine, FlowMethod, Part
from kinema.console.evaluations import print_evaluation
from kinema.console.outputs import check_results
from kinema.console.progress import TerminalProgress, open_trained
from kinema.engines.options import EngineOptions
from kinema.runs.judge import choose_part, judge_network, kept_back, name_failures, open_for, part_name
from kinema.runs.options import ScoringOptions

if TYPE_CHECKING:
    from kinema.engines.scorer import ClipScorer
    from kinema.models.network import Network
    from kinema.weights.checkpoint import ModelCard

log = logging.getLogger("kinema")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(ScoringOptions):
    """Settings of an evaluation."""

    split: Part = "auto"
    """The part of the data; auto takes valid, else test, else everything."""
    format: DataFormat = "auto"
    """How the data set is laid out; auto looks."""
    engine: Engine = "torch"
    """What computes: torch, whose figures are the same everywhere, openvino or winograd (on a CPU, prepared at the first
    use), or auto: openvino on a CPU where it is installed."""
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
    from kinema.evaluation.report import FILES, save
    from kinema.weights.open import checkpoint_folder

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
    evaluation = judge_network(network, card, examples, config, TerminalProgress())
    seconds = time.monotonic() - started
    about = {"model": checkpoint, "data": data, "part": part, "seconds": round(seconds, 2)}
    if config.json:
        print(json.dumps({**evaluation.to_json(), **about}, ensure_ascii=False), flush=True)
    else:
        print_evaluation(evaluation, card.variant)
    status = name_failures([evaluation.failures])
    if config.out:
        save(evaluation, config.out, f"Evaluation of {card.variant}", about)
        log.info("report: %s/report.html", config.out)
    return status


def _open(model: str, config: EvaluateConfig) -> tuple[Network | ClipScorer, ModelCard]:
    """A trained network, one for another engine, or an exported file."""
    from kinema.engines.choose import open_scorer
    from kinema.engines.exported import is_exported, open_exported

    how = EngineOptions(
        engine=config.engine, device=config.device, precision=config.precision, batch_size=config.batch_size
    )
    if is_exported(model):
        return open_exported(model, how)
    network, card = open_trained(model)
    if config.engine == "torch" and card.task == "frame":
        return network, card
    return open_scorer(network, card, how), card
