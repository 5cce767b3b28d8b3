"""What `--fast-seek` changes in scores, and how much time it saves: a folder of videos predicted with and without it, in turn.

For each mode: the share of videos whose best label stays the same, the mean and largest difference of a video's scores, the
mean difference along the timelines, and the ratio of the median times. Scores have a meaning for a trained network only.
Without `--model` only the time is of use; without a folder, videos are drawn.

    python benchmarks/fast_seek.py [films/] [--model runs/slow_fusion_small-1] [--step 0.5] [--repeats 3] [--json]
"""

# ruff: noqa: E402 - a process is set up before torch is imported
from __future__ import annotations

from kinema.machine import tune_process

tune_process()  # before torch is imported, which reads how its threads wait

# isort: split

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from predict import build_predictor, draw_film

import kinema
from kinema.inference.predictor import Predictor
from kinema.predictions import Prediction
from kinema.video import list_media

WAYS = ("none", "nonref", "keyframes")


def predict_all(predictor: Predictor, paths: list[str], options: argparse.Namespace, way: str) -> list[Prediction]:
    found = predictor.predict_many(paths, fast_seek=way, step_s=options.step)
    return [outcome for outcome in found if isinstance(outcome, Prediction)]


def compare(exact: list[Prediction], other: list[Prediction]) -> dict[str, float]:
    pairs = list(zip(exact, other, strict=True))
    films = [np.abs(one.scores - two.scores) for one, two in pairs]
    windows = [np.abs(one.timeline.raw - two.timeline.raw).mean() for one, two in pairs]
    return {
        "same_top_1": round(statistics.mean(one.label == two.label for one, two in pairs), 4),
        "mean_difference": round(float(np.mean([rows.mean() for rows in films])), 5),
        "largest_difference": round(float(max(rows.max() for rows in films)), 5),
        "mean_difference_over_time": round(float(np.mean(windows)), 5),
    }


def measure(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    if options.data:
        paths = list_media([options.data])
    else:
        paths = [draw_film(folder / f"{n}.mp4", options.seconds, (360, 640)) for n in range(options.films)]
    if options.model:
        predictor = kinema.load(options.model, engine=options.engine)
    else:
        predictor = build_predictor("slow_fusion_small", 8, "dense", options.engine)
    found = {way: predict_all(predictor, paths, options, way) for way in WAYS}
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    for repeat in range(options.repeats):
        for way in WAYS[:: 1 if repeat % 2 else -1]:
            started = time.perf_counter()
            predict_all(predictor, paths, options, way)
            times[way].append(time.perf_counter() - started)
    seconds = {way: statistics.median(values) for way, values in times.items()}
    rows: dict[str, object] = {"films": len(found["none"]), "trained": bool(options.model), "none_s": seconds["none"]}
    for way in WAYS[1:]:
        rows[way] = {"time_by_exact": round(seconds[way] / seconds["none"], 3), **compare(found["none"], found[way])}
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", help="a folder of films")
    parser.add_argument("--model", help="a trained network")
    parser.add_argument("--step", type=float, help="seconds between windows")
    parser.add_argument("--engine", default="torch", choices=["torch", "openvino", "auto"])
    parser.add_argument("--films", type=int, default=4, help="drawn ones")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each drawn one")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options, Path(folder))
    print(json.dumps(found) if options.json else json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
