"""`kinema evaluate`: the accuracy of a trained network on labelled videos."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.choices import (
    BOX_PROTOCOLS,
    SEGMENT_PROTOCOLS,
    DataFormat,
    EngineName,
    FlowMethod,
    LocatedProtocol,
    Part,
    TubeConvention,
)
from kinema.console.evaluations import print_evaluation, print_located
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
    from kinema.runs.located_judgement import LocatedJudgement

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
    """File of answered segments to judge in place of a network: ActivityNet's JSON, a table with video, start, end, label,
    score, or a folder of text files with a label a frame; for spotting, SoccerNet's JSON or a table with video, time, label,
    score."""
    boxes: str | None = None
    """File of answered boxes to judge in place of a network: AVA's CSV, tubes as JSON or a table, or MOTChallenge's text."""
    truth: str | None = None
    """With --segments or --boxes: file of the truth, in one of the same formats."""
    protocol: LocatedProtocol | None = None
    """The benchmark whose figures are computed. With --segments: activitynet (default), thumos, thumos2014, proposals,
    segmental, events or spotting; with --boxes: ava (default), video-map or mot."""
    subset: str = ""
    """With --segments: part of ActivityNet's JSON, such as validation; all by default."""
    remove_doubled: bool = False
    """With --segments: leave out true segments that stand twice, as some programs do; the official ones keep them."""
    background: tuple[str, ...] = ()
    """With --protocol segmental: labels that the edit score and F1 leave out, such as background."""
    convention: TubeConvention = "plus-one"
    """With --protocol video-map: how the overlap of tubes counts frames and pixels; plus-one as ACT and YOWO, multisports as
    MultiSports and mmaction2, or exact."""
    label_map: str | None = None
    """With --protocol ava: file with the names of the judged classes, such as AVA's .pbtxt; by default those of the truth."""
    excluded: str | None = None
    """With --protocol ava: CSV file of key frames (video, time stamp) that are not judged."""
    stats: bool = False
    """With --segments: print how often, how long and when each label occurs, in the answers and in the truth."""
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

        kinema evaluate --boxes answers.csv --truth ava_val.csv --protocol ava --label-map ava_labels.pbtxt

    Args:
        checkpoint: a checkpoint folder, a run folder with best/ in it, published weights (`kinema models --weights`), or
            a file of `kinema export` (.onnx, .xml).
        data: a folder of class folders, a manifest (.csv, .parquet), or a data set's list file.
    """
    if config.segments or config.boxes or config.truth:
        return _evaluate_file(config, checkpoint)
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
    about = {"model": checkpoint, "data": data, "part": part, "seconds": round(time.monotonic() - started, 2)}
    if config.json:
        print(json.dumps({**evaluation.to_json(), **about}, ensure_ascii=False), flush=True)
    else:
        print_evaluation(evaluation, card.variant)
    status = name_failures([evaluation.failures])
    if config.out:
        save(evaluation, config.out, f"Evaluation of {card.variant}", about)
        log.info("report: %s/report.html", config.out)
    return status


def _evaluate_file(config: EvaluateConfig, checkpoint: str) -> int:
    """Judge a file of located actions."""
    if checkpoint:
        do = "leave the network and the data out"
        raise UsageError("--segments and --boxes judge a file, and no network", checkpoint, do)
    if not (config.truth and bool(config.segments) != bool(config.boxes)):
        do = "give a file of answers (--segments or --boxes) and one of truth (--truth)"
        raise UsageError("judging located actions needs two files", do=do)
    judged = _judge_boxes(config) if config.boxes else _judge_segments(config)
    if config.json:
        print(json.dumps(judged.to_json(), ensure_ascii=False), flush=True)
    else:
        print_located(judged)
    if config.out:
        check_folder(config.out)
        write_json(Path(config.out) / "evaluation.json", judged.to_json())
    return 0


def _judge_segments(config: EvaluateConfig) -> LocatedJudgement:
    from kinema.runs.judge_segments import judge_segment_files

    protocol = next((one for one in SEGMENT_PROTOCOLS if one == (config.protocol or "activitynet")), None)
    if protocol is None:
        do = f"take {', '.join(SEGMENT_PROTOCOLS)}, or give --boxes"
        raise UsageError(f"the protocol {config.protocol} is not for segments", "--protocol", do)
    return judge_segment_files(
        config.segments or "", config.truth or "", protocol,
        subset=config.subset, remove_doubled=config.remove_doubled, background=config.background, stats=config.stats,
    )  # fmt: skip


def _judge_boxes(config: EvaluateConfig) -> LocatedJudgement:
    from kinema.runs.judge_boxes import judge_box_files

    protocol = next((one for one in BOX_PROTOCOLS if one == (config.protocol or "ava")), None)
    if protocol is None:
        do = f"take {', '.join(BOX_PROTOCOLS)}, or give --segments"
        raise UsageError(f"the protocol {config.protocol} is not for boxes", "--protocol", do)
    return judge_box_files(
        config.boxes or "", config.truth or "", protocol,
        convention=config.convention, label_map=config.label_map, excluded=config.excluded,
    )  # fmt: skip
