"""`kinema crossval`: K trainings, each judged on the part that it was not trained on, so that every video is judged once.

Of a few hundred videos, one validation part is too small to tell two settings apart, and it may be an easy one.
"""

from __future__ import annotations

import json

from kinema.console.progress import TerminalProgress
from kinema.console.tables import plain_console
from kinema.runs.crossval import CrossvalConfig, Folds, check_network, divide, run_folds, table_rows, write_folds
from kinema.runs.folder import check_same, choose_folder, is_main_process, resumable, start_folder


def crossval(data: str, config: CrossvalConfig) -> int:
    """Train a network several times, each time without another part of the data, and judge it on that part.

    All videos of a group go into the same part, as in `train`. The data's own training and validation parts are merged
    first; a test part is not used. Writes a run folder for each fold, and the figures over all folds above them.

    Examples:
        kinema crossval videos/ --model slow_fusion_small --folds 5

        kinema crossval videos.csv --model single_frame_small --group-by match --folds 10 --out runs/ten

        kinema crossval videos/ --model single_frame --backbone resnet18 --pretrained --transfer head --keep-features kept/

    Args:
        data: a folder of class folders, a manifest (.csv, .parquet), or a data set's list file.
    """
    divisions = divide(data, config)
    check_network(config)
    folder = choose_folder(config.out, f"{config.model}-crossval")
    if config.resume:
        check_same(folder, config)
    else:
        start_folder(folder, config, {"data": str(divisions[0].root)})
    with resumable(folder):
        folds = run_folds(divisions, config, folder, TerminalProgress())
    if not is_main_process():
        return 0
    summary = {"run": str(folder), "model": config.model, "judged": config.judged, **folds.to_json()}
    write_folds(folder, folds, summary)
    if config.json:
        print(json.dumps(summary))
    else:
        failed = f", {folds.pooled.num_failed} could not be read" if folds.pooled.num_failed else ""
        about = f"{config.model}: {len(folds.each)} folds, {folds.pooled.num_videos} videos{failed}"
        print_folds(folds, about)
        print(f"report: {folder}/report.html")
    return 0


def print_folds(folds: Folds, about: str) -> None:
    """Print mean and deviation over the folds, and the figures over all videos, on standard output."""
    from rich.table import Table

    console = plain_console()
    console.print(about)
    table = Table("figure", box=None, pad_edge=False)
    for head in ("mean ± sd", "all videos", "95 % interval"):
        table.add_column(head, justify="right")
    for row in table_rows(folds):
        table.add_row(*row)
    console.print(table)
