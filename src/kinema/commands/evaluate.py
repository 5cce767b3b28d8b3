"""`kinema evaluate`: the accuracy of a trained network on labelled videos."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.choices import DataFormat, EngineName, FlowMethod, Part, SegmentProtocol
from kinema.console.evaluations import print_evaluation, print_segments
from kinema.console.outputs import check_results
from kinema.console.progress import TerminalProgress, open_trained
from kinema.engines.options import EngineOptions
from kinema.errors import UsageError
from kinema.files import check_folder, write_json
from kinema.runs.judge import choose_part, judge_network, kept_back, name_failures, open_for, part_name
from kinema.runs.options import ScoringOptions
from kinema.runs.task import find_task
from kinema.types import IMAGE_FPS

if TYPE_CHECKING:
    from kinema.engines.scorer import ClipScorer
    from kinema.models.network import Network

log = logging.getLogger("kinema")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(ScoringOptions):
    """Settings of an evaluation."""

    split: Part = "auto"
    """Part of the data; auto takes valid, else test, else everything."""
    format: DataFormat = "auto"
    """Format of the data set; auto detects it."""
    image_fps: float = IMAGE_FPS
    """Frame rate of folders of pictures."""
    engine: EngineName = "torch"
    """What computes the network: torch, with the same figures on every machine; openvino (on a CPU; it is converted at the
    first use); or auto, which is openvino on a CPU if it is installed."""
    flow_method: FlowMethod | None = None
    """Method of the optical flow; only the network's own is accepted, which is also the default."""
    out: str | None = None
    """Folder for evaluation.json, per_class.csv, predictions.csv and report.html."""
    segments: str | None = None
    """File of answered segments to judge in place of a network: ActivityNet's JSON, or a table with video, start, end,
    label, score."""
    truth: str | None = None
    """With --segments: file of the true segments, in one of the same formats."""
    protocol: SegmentProtocol = "activitynet"
    """With --segments: the benchmark whose figures are computed."""
    subset: str = ""
    """With --segments: part of ActivityNet's JSON, such as validation; all by default."""
    remove_doubled: bool = False
    """With --segments: leave out true segments that stand twice, as some programs do; the official ones keep them."""
    json: bool = False
    """Print the result as JSON."""


def evaluate(checkpoint: str = "", data: str = "", config: EvaluateConfig = EvaluateConfig()) -> int:
    """Judge a trained network on labelled videos, or a file of located actions.

    Prints hits by clip and by video, macro-F1 and mean class accuracy with 95 % intervals (bootstrap over videos), and
    the table of classes. Files that cannot be read are named and counted; the exit status is then 1.

    Examples:
        kinema evaluate runs/slow_fusion-1/best videos/

        kinema evaluate runs/slow_fusion-1 videos.csv --split test --clips 10 --crops 3 --out judged/

        kinema evaluate runs/slow_fusion-1/best videos/ --json

        kinema evaluate slowfast_r50_8x8 kinetics/val.csv --clips 10 --crops 3

        kinema evaluate --segments answers.json --truth truth.json --protocol thumos

    Args:
        checkpoint: a checkpoint folder, a run folder with best/ in it, published weights (`kinema models --weights`), or
            a file of `kinema export` (.onnx, .xml).
        data: a folder of class folders, a manifest (.csv, .parquet), or a data set's list file.
    """
    if config.segments or config.truth:
        return _evaluate_segments(config, checkpoint)
    for name, value in (("CHECKPOINT", checkpoint), ("DATA", data)):
        if not value:
            raise UsageError(f"evaluate needs {name}", do="see kinema evaluate --help")
    return _evaluate_network(checkpoint, data, config)


def _evaluate_network(checkpoint: str, data: str, config: EvaluateConfig) -> int:
    from kinema.clips.flow import check_flow
    from kinema.engines.choose import open_scorer
    from kinema.engines.exported import is_exported, open_exported
    from kinema.evaluation.report import FILES, save
    from kinema.weights.open import checkpoint_folder

    if config.out:
        check_results(config.out, FILES, own="evaluation.json")
    folder = checkpoint_folder(checkpoint)
    how = EngineOptions(
        engine=config.engine, device=config.device, precision=config.precision, batch_size=config.batch_size
    )
    network: Network | ClipScorer
    if is_exported(checkpoint):
        network, card = open_exported(checkpoint, how)
    else:
        network, card = open_trained(checkpoint)
        if config.engine != "torch" or find_task(card.task).uses_clip_scores:
            network = open_scorer(network, card, how)
    check_flow(network.spec, config.flow_method)
    listed = open_for(card, data, config.format, config.image_fps)
    part = part_name(listed, config.split)
    hint = kept_back(folder)
    examples = choose_part(listed, part, hint)
    learned_from = card.data.get("root")
    if part in ("all", "train") and learned_from and Path(str(learned_from)).resolve() == Path(listed.root).resolve():
        log.warning("%s: the network learned from these videos; %s", data, hint or "take others to judge it")
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


def _evaluate_segments(config: EvaluateConfig, checkpoint: str) -> int:
    """Judge a file of located actions."""
    from kinema.runs.judge_segments import judge_segments
    from kinema.runs.segment_files import read_segments

    if checkpoint:
        raise UsageError("--segments judges a file, and no network", checkpoint, "leave the network and the data out")
    if not (config.segments and config.truth):
        raise UsageError("--segments and --truth belong together", do="give a file of answers and one of truth")
    truth = read_segments(config.truth, config.subset)
    answers = read_segments(config.segments, config.subset)
    judged = judge_segments(truth, answers, config.protocol, remove_doubled=config.remove_doubled)
    if config.json:
        print(json.dumps(judged.to_json(), ensure_ascii=False), flush=True)
    else:
        print_segments(judged)
    if config.out:
        check_folder(config.out)
        write_json(Path(config.out) / "evaluation.json", judged.to_json())
    return 0
