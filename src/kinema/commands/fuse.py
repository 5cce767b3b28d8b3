"""`kinema fuse`: join two trained networks by the average of their scores or a support vector machine."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from kinema.console.evaluations import result_lines
from kinema.console.progress import TerminalProgress, open_trained
from kinema.console.tables import print_lines
from kinema.errors import OutputError
from kinema.runs.fuse import FuseConfig, fit_svm, join
from kinema.runs.judge import name_failures


def fuse(first: str, second: str, config: FuseConfig) -> int:
    """Join two trained networks, such as one for RGB and one for optical flow, to one checkpoint.

    Every command takes the result like any other checkpoint. Both networks need the same classes and frames of the same
    size; one of them may see single frames. If you choose the weights by the validation figures, judge them on other
    videos. Files that cannot be read are named; the exit status is then 1.

    Examples:
        kinema fuse runs/rgb runs/flow --data videos/ --out runs/both

        kinema fuse runs/rgb runs/flow --data runs/rgb/split.csv --out runs/svm --svm

    Args:
        first: a checkpoint folder, or a run folder with best/ in it; with the default weights, the network for RGB.
        second: the same for the other network.
    """
    from kinema.labels import Labels
    from kinema.runs.tasks.clip import TASK
    from kinema.weights.checkpoint import save_checkpoint

    if Path(config.out).exists():
        raise OutputError("it exists already", config.out, "give another --out")
    progress = TerminalProgress()
    parts = (open_trained(first), open_trained(second))
    network, card = join(parts, config, (first, second))
    data = config.open(config.data, Labels(card.labels))
    failures = fit_svm(network, parts, data.part("train"), config, progress) if config.svm else ()
    judged = [TASK.judge(*trained, data.part("valid"), config, progress) for trained in (*parts, (network, card))]
    rows = [evaluation.figures for evaluation in judged]
    save_checkpoint(config.out, network, replace(card, metrics=rows[-1]))
    named = list(zip((first, second, config.out), rows, strict=True))
    if config.json:
        print(json.dumps({"networks": [{"name": name, **row} for name, row in named]}))
    else:
        for name, row in named[:-1]:
            print_lines([f"{name}: {TASK.headline(row)}"])
        print_lines(result_lines(judged[-1], f"{config.out}: {TASK.headline(rows[-1])}"))
    return name_failures([failures, *(evaluation.failures for evaluation in judged)])
