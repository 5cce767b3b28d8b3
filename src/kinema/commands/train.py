"""`kinema train`: train a network on a data set, into a run folder with checkpoints, curves and a report."""

from __future__ import annotations

import json
import shlex

from kinema.console.progress import TerminalProgress
from kinema.runs.config import TrainConfig
from kinema.runs.fit import fit
from kinema.runs.folder import choose_folder, is_main_process, resumable
from kinema.runs.judge import name_failures
from kinema.runs.task import find_task


def train(data: str, config: TrainConfig) -> int:
    """Train a network on a data set.

    The run folder gets best/ and last/ (checkpoints that every command takes), epochs.csv, curves.png, confusion.png,
    report.html, the resolved configuration and the division of the data.

    Examples:
        kinema train videos/ --model slow_fusion_small --epochs 30

        kinema train videos.csv --model late_fusion --backbone mobilenetv2_100 --pretrained --transfer last:3

        kinema train videos/ --model r2plus1d_18 --init r2plus1d_18 --transfer last:2

        kinema train videos/ --model slow_fusion_small --out runs/a --resume

        torchrun --nproc-per-node 2 -m kinema train videos/ --model single_frame_small --out runs/b

    Args:
        data: a folder of class folders, a manifest (.csv, .parquet), or a data set's list file.
    """
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
        print(f"{folder}: {find_task(config.task).headline(trained.evaluation.figures)} on validation")
        print(f"  kinema predict VIDEO --model {shlex.quote(f'{folder}/best')}")
        print(f"  report: {folder}/report.html")
    return 0
