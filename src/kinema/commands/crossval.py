"""`kinema crossval`: K trainings, each judged on the part that it was not trained on, so that every video is judged once.

Of a few hundred videos, one validation part is too small to tell two settings apart, and it may be an easy one.
"""

from __future__ import annotations

import json

from kinema.console.progress import TerminalProgress
from kinema.console.tables import Column, print_lines, print_list
from kinema.runs.crossval import HEADS, CrossvalConfig, Folds, check_network, divide, run_folds, table_rows, write_folds
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
    check_network(config)
    divisions = divide(data, config)
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
        from kinema.evaluation.remarks import counted

        failed = f", {folds.pooled.num_failed} could not be read" if folds.pooled.num_failed else ""
        about = f"{config.model}: {len(folds.each)} folds, {counted(folds.pooled)}{failed}, {folds.pooled.views}"
        print_folds(folds, about)
        print(f"report: {folder}/report.html")
    return 0


def print_folds(folds: Folds, about: str) -> None:
    """Print mean and deviation over the folds, and the figures over all videos beside the baselines, on standard output."""
    from kinema.evaluation.remarks import legend, warnings

    print_lines([about, ""])
    columns = [Column(head, rank, "right" if rank else "left") for rank, head in enumerate(HEADS)]
    print_list(columns, table_rows(folds))
    print_lines([*legend(folds.pooled), *(f"Note: {warning}." for warning in warnings(folds.pooled))])
