"""`kinema fuse`: two trained networks as one, their scores averaged or joined by a support vector machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kinema.console.progress import TerminalProgress, open_trained
from kinema.errors import OutputError
from kinema.runs.fuse import FuseConfig, fit_svm, join
from kinema.runs.judge import name_failures


def fuse(first: str, second: str, config: FuseConfig) -> int:
    """Join two trained networks, such as one for RGB and one for optical flow, to one checkpoint.

    Every command takes the result as it takes any other checkpoint. Both networks need the same classes and pictures of
    one size; one of them may see single frames. Weights that were chosen by the validation figures have to be judged on
    other videos. Files that cannot be read are named, and leave exit status 1.

    Examples:
        kinema fuse runs/rgb runs/flow --data videos/ --out runs/both

        kinema fuse runs/rgb runs/flow --data runs/rgb/split.csv --out runs/svm --svm

    Args:
        first: a checkpoint folder, or a run folder with best/ in it; for the usual weights, that of RGB.
        second: the same, of another network.
    """
    from kinema.labels import Labels
    from kinema.runs.tasks.clip import TASK
    from kinema.weights.checkpoint import save_checkpoint

    if Path(config.out).exists():
        raise OutputError("there is something already", config.out, "give another --out")
    progress = TerminalProgress()
    parts = (open_trained(first), open_trained(second))
    network, card = join(parts, config, (first, second))
    data = config.open(config.data, Labels(card.labels))
    failures = fit_svm(network, parts, data.part("train"), config, progress) if config.svm else ()
    judged = [TASK.judge(*trained, data.part("valid"), config, progress) for trained in (*parts, (network, card))]
    rows = [evaluation.figures for evaluation in judged]
    save_checkpoint(config.out, network, replace(card, metrics=rows[-1]))
    _report((first, second, config.out), rows, config)
    return name_failures([failures, *(evaluation.failures for evaluation in judged)])


def _report(names: Sequence[str], rows: Sequence[dict[str, float]], config: FuseConfig) -> None:
    if config.json:
        print(json.dumps({"networks": [{"name": name, **row} for name, row in zip(names, rows, strict=True)]}))
        return
    for name, row in zip(names, rows, strict=True):
        print(f"{name}: video hit@1 {row['video_hit_at_1']:.1%}, macro F1 {row['macro_f1']:.3f} on validation")
