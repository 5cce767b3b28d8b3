"""`kinema train`: train a network on a data set, into a run folder with checkpoints, curves and a report."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

from kinema.console.evaluations import result_lines
from kinema.console.progress import TerminalProgress
from kinema.console.tables import print_lines
from kinema.runs.config import TrainConfig
from kinema.runs.folder import choose_folder, is_main_process, resumable
from kinema.runs.judge import name_failures
from kinema.runs.task import find_task

if TYPE_CHECKING:
    from pathlib import Path

    from kinema.datasets.dataset import DataSet


def train(data: str, config: TrainConfig) -> int:
    """Train a network on a data set.

    The run folder gets best/ and last/ (checkpoints that every command takes), epochs.csv, curves.png, confusion.png,
    report.html, the resolved configuration and the division of the data.

    Examples:
        kinema train videos/ --model slow_fusion_small --epochs 30

        kinema train videos.csv --model late_fusion --backbone mobilenetv2_100 --pretrained --transfer last:3

        kinema train videos/ --model r2plus1d_18 --init r2plus1d_18 --transfer last:2

        kinema train videos/ --model slow_fusion_small --out runs/a --resume

        kinema train videos.csv --task segments --model segments_one_stage --encoder runs/a

        torchrun --nproc-per-node 2 -m kinema train videos/ --model single_frame_small --out runs/b

    Args:
        data: a folder of class folders, a manifest (.csv, .parquet), or a data set's list file.
    """
    from kinema.models.registry import find_variant
    from kinema.runs.fit import fit

    find_variant(config.model)  # a misspelt name is an error before the data is read
    listed = config.open(data)
    folder = choose_folder(config.out, config.model)
    with resumable(folder):
        trained = fit(listed, config, folder, progress=TerminalProgress())
    if not is_main_process():
        return 0
    name_failures([trained.evaluation.failures])
    if config.json:
        print(json.dumps(trained.summary))
    else:
        print_lines(
            result_lines(trained.evaluation, f"{folder}: {find_task(config.task).headline(trained.evaluation.figures)}")
        )
        for command in next_commands(folder, listed, config.task):
            print(f"  {command}")
        print(f"  report: {folder}/report.html")
    return 0


def next_commands(folder: Path, data: DataSet, task: str = "clip") -> list[str]:
    """Commands that use the trained network, with paths that exist."""
    parts = [example for part in ("test", "valid") if part in data.parts for example in data.part(part).examples]
    part = "test" if "test" in data.parts else "valid"
    judged = data.root if task == "boxes" else f"{folder}/split.csv"  # a manifest has no boxes
    evaluate = ["kinema", "evaluate", f"{folder}/best", judged, "--split", part]
    command = {"segments": "localize", "boxes": "detect"}.get(task, "predict")
    predict = ["kinema", command, parts[0].path, "--model", f"{folder}/best"]
    return [shlex.join(evaluate), shlex.join(predict)]
