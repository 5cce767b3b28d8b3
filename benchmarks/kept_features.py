"""What `--keep-features` gains: seconds an epoch with and without it, on drawn videos, with a frozen backbone.

Both sides run in turn in one process. An epoch is measured from one checkpoint to the next: decoding, network, validation and
saving. The first epoch of each side, in which workers and threads start, does not count. The time to compute the features is
reported separately, also as a number of epochs without kept features.

    python benchmarks/kept_features.py [--backbone resnet18] [--films 10] [--repeats 3] [--json]
"""

# ruff: noqa: E402 - a process is set up before torch is imported
from __future__ import annotations

from kinema.machine import tune_process

tune_process()  # before torch is imported, which reads how its threads wait

# isort: split

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from kinema.datasets import open_data
from kinema.datasets.dataset import DataSet
from kinema.datasets.synthetic import write_motion_set
from kinema.runs import features
from kinema.runs.config import TrainConfig
from kinema.runs.fit import fit
from kinema.training.record import Recorder


def epochs_of(data: DataSet, config: TrainConfig, folder: Path) -> tuple[list[float], float]:
    """Seconds of each epoch but the first, and seconds spent on computing the features."""
    marks: list[float] = []
    filling = 0.0
    done, fill = Recorder.epoch_done, features.keep_features

    def marked(self: Recorder, *args: object) -> None:
        done(self, *args)  # type: ignore[arg-type]
        marks.append(time.perf_counter())

    def timed(*args: object, **options: object) -> None:
        nonlocal filling
        started = time.perf_counter()
        fill(*args, **options)  # type: ignore[arg-type]
        filling += time.perf_counter() - started

    Recorder.epoch_done, features.keep_features = marked, timed  # type: ignore[method-assign,assignment]
    try:
        fit(data, config, folder)
    finally:
        Recorder.epoch_done, features.keep_features = done, fill  # type: ignore[method-assign]
    return [later - earlier for earlier, later in itertools.pairwise(marks)], filling


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--model", default="late_fusion")
    parser.add_argument("--films", type=int, default=10, help="of each of 8 classes, for training")
    parser.add_argument("--clip-len", type=int, default=8)
    parser.add_argument("--size", default="112")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        row = measure(options, Path(place))
    if options.json:
        print(json.dumps(row))
        return
    print(f"{row['clips']} clips, {options.model} on {options.backbone}, {options.clip_len} x {options.size} pixels")
    print(f"an epoch: {row['plain_s']:.2f} s -> {row['kept_s']:.2f} s = {row['ratio']:.0f}x")
    print(f"computing the features: {row['filling_s']:.2f} s, as long as {row['filling_epochs']:.1f} epochs without")


def measure(options: argparse.Namespace, place: Path) -> dict[str, float]:
    films = write_motion_set(place / "films", options.films, max(options.films // 4, 1), num_frames=48, size=(120, 160))
    data = open_data(films)
    shared = {
        "model": options.model, "backbone": options.backbone, "clip_len": options.clip_len, "size": options.size,
        "sampling": "spread", "transfer": "head", "precision": options.precision,
    }  # fmt: skip
    plain, kept, filling = [], [], []
    for repeat in range(options.repeats):
        sides = (({"epochs": 2}, plain), ({"epochs": 8, "keep_features": str(place / f"kept{repeat}")}, kept))
        for extra, times in sides:
            folder = place / f"run{repeat}{len(extra)}"
            seconds, filled = epochs_of(data, TrainConfig(**shared, **extra), folder)  # type: ignore[arg-type]
            times.extend(seconds)
            filling += [filled] if filled else []
        print(f"{statistics.median(plain):.2f} -> {statistics.median(kept):.3f}", file=sys.stderr, flush=True)
    without, with_them = statistics.median(plain), statistics.median(kept)
    took = statistics.median(filling)
    return {
        "clips": len(data.part("train")), "plain_s": without, "kept_s": with_them, "ratio": without / with_them,
        "filling_s": took, "filling_epochs": took / without,
    }  # fmt: skip


if __name__ == "__main__":
    main()
