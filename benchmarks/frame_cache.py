"""What `--cache` gains: seconds an epoch and the share of them spent waiting for clips, with and without cached frames.

Both sides run in turn in one process. An epoch is measured from one checkpoint to the next: clips, network, validation and
saving. The first epoch of each side is reported separately, because in it workers start and the cache is filled.

    python benchmarks/frame_cache.py [--data FOLDER] [--model slow_fusion_small] [--workers 1] [--repeats 3] [--json]
"""

# ruff: noqa: E402 - a process is set up before torch is imported
from __future__ import annotations

from kinema.machine import tune_process

tune_process()  # before torch is imported, which reads how its threads wait

# isort: split

import argparse
import csv
import json
import statistics
import sys
import tempfile
from pathlib import Path

from kinema.datasets import open_data
from kinema.datasets.dataset import DataSet
from kinema.datasets.synthetic import write_motion_set
from kinema.runs.config import TrainConfig
from kinema.runs.fit import fit

Rows = list[dict[str, float]]


def epochs_of(data: DataSet, config: TrainConfig, folder: Path) -> Rows:
    """Train, and read from the run folder for each epoch: seconds, clips a second, share of the time waiting."""
    fit(data, config, folder)
    with (folder / "epochs.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def measure(options: argparse.Namespace, data: DataSet, place: Path) -> dict[str, dict[str, float]]:
    """Medians of both sides over all repeats."""
    sides: dict[str, Rows] = {"plain": [], "kept": []}
    first: dict[str, list[float]] = {"plain": [], "kept": []}
    for repeat in range(options.repeats):
        for name, rows in sides.items():
            cache = str(place / f"cache{repeat}") if name == "kept" else None
            config = TrainConfig(
                model=options.model, epochs=options.epochs, workers=options.workers, resize="stretch", cache=cache
            )
            opening, *others = epochs_of(data, config, place / f"{name}{repeat}")
            first[name].append(opening["time_s"])
            rows.extend(others)
        print({name: statistics.median(r["time_s"] for r in rows) for name, rows in sides.items()}, file=sys.stderr)
    return {
        name: {
            "epoch_s": statistics.median(row["time_s"] for row in rows),
            "waiting_share": statistics.median(row["waiting_share"] for row in rows),
            "first_epoch_s": statistics.median(first[name]),
        }
        for name, rows in sides.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="a data set; without it films are drawn")
    parser.add_argument("--films", type=int, default=15, help="drawn films of each of 8 classes, for training")
    parser.add_argument("--frames", type=int, default=150, help="frames of a drawn film")
    parser.add_argument("--size", type=int, nargs=2, default=(360, 640), help="height and width of a drawn film")
    parser.add_argument("--model", default="slow_fusion_small")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=3, help="of each run; the first one does not count")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        drawn = options.data is None
        films = options.data or write_motion_set(
            folder / "films", options.films, max(options.films // 4, 1), num_frames=options.frames, size=options.size
        )
        sides = measure(options, open_data(films), folder)
    ratio = sides["plain"]["epoch_s"] / sides["kept"]["epoch_s"]
    if options.json:
        print(json.dumps({**sides, "ratio": ratio}))
        return
    print(
        f"{options.model} on {f'drawn films of {options.size}' if drawn else options.data}, {options.workers} workers"
    )
    for name, row in sides.items():
        print(
            f"{name}: {row['epoch_s']:.2f} s an epoch, {row['waiting_share']:.0%} waiting; {row['first_epoch_s']:.2f} s the first"
        )
    print(f"an epoch with kept frames is {ratio:.2f}x as fast")


if __name__ == "__main__":
    main()
