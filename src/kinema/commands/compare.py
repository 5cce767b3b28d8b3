"""`kinema compare`: train and judge several networks in the same way, and print accuracy beside cost."""

from __future__ import annotations

import json

from kinema.console.evaluations import print_comparison
from kinema.console.outputs import check_results
from kinema.console.progress import TerminalProgress
from kinema.errors import ConfigError
from kinema.runs.compare import CompareConfig, check_networks, run_comparison
from kinema.runs.folder import choose_folder, is_main_process
from kinema.runs.judge import name_failures
from kinema.runs.unseen import check_unseen, list_checkpoints


def compare(data: str, config: CompareConfig = CompareConfig()) -> int:
    """Train several networks on the same videos and see what each way of using time is worth.

    Prints the table of Karpathy et al. (2014): clip hit@1, video hit@1 and hit@5 beside parameters, multiply-adds and
    speed, for each network, their average and the baselines; then the classes that gain and lose most against the first
    network, the best network with the command that uses it, and the networks that these videos cannot tell from it. Files
    that cannot be read are named; the exit status is then 1.

    Examples:
        kinema compare videos/

        kinema compare videos/ --models single_frame_small,slow_fusion_small --epochs 40 --sampling spread --out runs/time

        kinema compare runs/a/split.csv --checkpoints runs/a runs/b runs/c

    Args:
        data: a folder of class folders, a manifest (.csv, .parquet), or a data set's list file.
    """
    names, trained = config.names, list_checkpoints(config.checkpoints)
    if len(names) + len(trained) < 2 or len(set(names)) < len(names):
        what = "--models needs at least two different networks"
        raise ConfigError(what, ",".join(names) or "none", "give names with commas, or --checkpoints")
    check_networks(names, config)
    listed = config.open(data)
    for folder in trained:
        check_unseen(folder, listed)
    folder = choose_folder(config.out, "compare")
    check_results(folder, ("compare.csv", "report.html"), own="compare.json")
    comparison = run_comparison(listed, names, config, folder, trained, TerminalProgress())
    if not is_main_process():
        return 0
    if config.json:
        print(json.dumps({**comparison.to_json(), "data": data}))
    else:
        print_comparison(comparison)
        print(f"Use the best one:\n  {comparison.predict_command}")
        print(f"  report: {folder}/report.html")
    return name_failures(result.evaluation.failures for result in comparison.networks)
