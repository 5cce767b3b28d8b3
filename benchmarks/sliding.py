"""Do overlapping windows cost a frame network one pass over the video, and is the cost linear in its length?

A frame network (any backbone, late fusion) predicts a video three ways: in windows without overlap, where each frame is seen
once (one pass); in windows that overlap by 75 %, where each frame is still computed once; and the same without sharing frames,
as whole clips. All ways run in turn; the output has ratios of medians and the number of frames that went through the backbone.
Then videos of several lengths with overlap: a line is fitted to the medians, with R^2.

    python benchmarks/sliding.py [--backbone resnet18] [--engine torch] [--seconds 20] [--repeats 5] [--json]

`benchmarks/predict.py` measures the memory for a video of two hours.
"""

# ruff: noqa: E402 - a process is set up before torch is imported
from __future__ import annotations

from kinema.machine import tune_process

tune_process()  # before torch is imported, which reads how its threads wait

# isort: split

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from predict import draw_film

from kinema import models
from kinema.inference.batching import ClipOutput, SharedFrames, WholeClips
from kinema.inference.predictor import Predictor
from kinema.inference.reader import ClipViews, FrameViews, Item
from kinema.weights.checkpoint import ModelCard

FPS = 25
CLASSES = tuple("abcdefgh")


class Counter:
    """Counts the frames that are given to the network, whatever computes it."""

    def __init__(self) -> None:
        self.num_frames = 0
        take_frames, take_clip = SharedFrames.take, WholeClips.take

        def frames(batcher: SharedFrames, item: Item) -> Iterator[ClipOutput]:
            self.num_frames += len(item.indices) * len(item.views) if isinstance(item, FrameViews) else 0
            return take_frames(batcher, item)

        def clip(batcher: WholeClips, item: Item) -> Iterator[ClipOutput]:
            self.num_frames += item.views.shape[0] * item.views.shape[2] if isinstance(item, ClipViews) else 0
            return take_clip(batcher, item)

        SharedFrames.take, WholeClips.take = frames, clip  # type: ignore[method-assign]

    def of(self, call: Callable[[], object]) -> int:
        self.num_frames = 0
        call()
        return self.num_frames


def open_predictor(options: argparse.Namespace) -> Predictor:
    torch.manual_seed(0)
    spec = {"clip_len": options.clip_len, "frame_stride": 1, "sampling": "dense", "size": (options.size, options.size)}
    network = models.build("late_fusion", num_classes=len(CLASSES), backbone=options.backbone, spec=spec)
    card = ModelCard.of(network, CLASSES)
    return Predictor(network, card, device=options.device, precision=options.precision, engine=options.engine)


def timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def medians(sides: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Seconds of each side, measured in turn, forwards and backwards."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for call in sides.values():
        call()
    for repeat in range(repeats):
        for name in list(sides)[:: 1 if repeat % 2 else -1]:
            times[name].append(timed(sides[name]))
    return {name: statistics.median(values) for name, values in times.items()}


def measure_overlap(predictor: Predictor, film: str, options: argparse.Namespace) -> dict[str, float]:
    window_s = options.clip_len / FPS
    ways = {
        "one_pass": {"step_s": window_s, "share_frames": False},
        "overlap_75": {"step_s": window_s / 4},
        "whole_clips": {"step_s": window_s / 4, "share_frames": False},
    }
    sides = {name: lambda how=how: predictor(film, **how) for name, how in ways.items()}
    counter = Counter()
    found: dict[str, float] = {f"{name}_frames": counter.of(call) for name, call in sides.items()}
    seconds = medians(sides, options.repeats)
    found |= {f"{name}_s": round(value, 3) for name, value in seconds.items()}
    found["overlap_by_one_pass"] = round(seconds["overlap_75"] / seconds["one_pass"], 3)
    found["whole_by_shared"] = round(seconds["whole_clips"] / seconds["overlap_75"], 3)
    return found


def measure_lengths(predictor: Predictor, folder: Path, options: argparse.Namespace) -> dict[str, object]:
    lengths = [options.seconds * share for share in (0.25, 0.5, 1.0, 1.5, 2.0)]
    films = [draw_film(folder / f"{length:g}.mp4", length, (240, 320), FPS) for length in lengths]
    step_s = options.clip_len / FPS / 4
    sides = {film: lambda film=film: predictor(film, step_s=step_s) for film in films}
    seconds = list(medians(sides, options.repeats).values())
    slope, offset = np.polyfit(lengths, seconds, 1)
    left = np.var(np.array(seconds) - (slope * np.array(lengths) + offset))
    return {
        "film_s": lengths,
        "predict_s": [round(value, 3) for value in seconds],
        "s_per_film_s": round(float(slope), 4),
        "offset_s": round(float(offset), 4),
        "r2": round(float(1 - left / np.var(seconds)), 5),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--clip-len", type=int, default=8)
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--engine", default="torch", choices=["torch", "openvino", "auto"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    predictor = open_predictor(options)
    with tempfile.TemporaryDirectory() as name:
        film = draw_film(Path(name) / "film.mp4", options.seconds, (240, 320), FPS)
        found: dict[str, object] = {"network": repr(predictor), "cores": len(os.sched_getaffinity(0))}
        found["overlap"] = measure_overlap(predictor, film, options)
        found["length"] = measure_lengths(predictor, Path(name), options)
    print(json.dumps(found) if options.json else json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
