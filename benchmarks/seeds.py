"""Whether networks learn whatever the seed: trainings on the demo's set of motions, one for each network and seed.

The set is the one of `kinema demo` in which only motion tells the eight classes apart, with its settings of training. Prints the
training loss of the last epoch (chance is ln 8 = 2.079) and the share of validation videos that is right (chance is 12.5 %).

    python benchmarks/seeds.py [--models late_fusion_tiny,slow_fusion_tiny] [--seeds 10] [--arguments join_norm=false]
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
from pathlib import Path

import torch

from kinema.datasets import open_data
from kinema.datasets.synthetic import write_motion_set
from kinema.machine import tune_process
from kinema.runs.config import TrainConfig
from kinema.runs.fit import fit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="late_fusion_tiny,early_fusion_tiny,slow_fusion_tiny")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--arguments", nargs="*", default=[], help="arguments of the networks, as --model-args of kinema train"
    )
    options = parser.parse_args()
    tune_process()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write_motion_set(home / "videos", 48, 16, 0, "motion")
        data = open_data(home / "videos")
        for name in options.models.split(","):
            rows = []
            for seed in range(options.seeds):
                out = home / "runs" / f"{name}-{seed}"
                config = TrainConfig(
                    model=name, epochs=options.epochs, batch_size=16, lr=0.01, augment="none", seed=seed, workers=0,
                    cache=str(home / "cache"), out=str(out), model_args=tuple(options.arguments),
                )  # fmt: skip
                trained = fit(data, config, out)
                with (out / "epochs.csv").open(newline="") as file:
                    last = list(csv.DictReader(file))[-1]
                rows.append((float(last["train_loss"]), trained.evaluation.figures["video_hit_at_1"]))
                print(f"{name:20} seed {seed}: loss {rows[-1][0]:.3f}, hit@1 {rows[-1][1]:.3f}", flush=True)
            hits = [hit for _, hit in rows]
            print(
                f"{name:20} hit@1 {min(hits):.3f} to {max(hits):.3f}, median {statistics.median(hits):.3f}", flush=True
            )


if __name__ == "__main__":
    main()
