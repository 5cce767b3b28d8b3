"""Does prediction keep decoder and network busy at the same time, and is its memory constant?

Speed: decoding alone (every frame that the network needs, at its size), inference alone (as many clips, ready in memory) and
`predict` on the same videos, in turn in one process; medians.

    by_larger   time of predict / the larger of the two
    floor_s     a lower bound for any program: the larger of the two, or, where both need the same few cores, the processor
                time of both divided by the number of cores
    by_floor    time of predict / floor_s
    by_sum      time of predict / the sum of both; cpu_by_sum the same for processor time: the cost of passing frames on

Memory: peak resident memory of a process that predicts a video of 10 seconds, and of one that predicts a video of two hours.

    python benchmarks/predict.py [--model slow_fusion_small] [--films 4] [--seconds 30] [--repeats 5] [--json]

With `--settings`, `predict` is measured with several numbers of videos read at once and of threads for each decoder, in turn.
"auto" is the default, "2x1" two videos and one thread each, "1x" one video and the decoder's own choice of threads:

    python benchmarks/predict.py --settings auto 1x1 1x 2x1 2x [--data FOLDER] [--engine auto]
"""

# ruff: noqa: E402 - a process is set up before torch is imported
from __future__ import annotations

from kinema.machine import tune_process

tune_process()  # before torch is imported, which reads how its threads wait

# isort: split

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kinema.choices import EngineName
from kinema.clips.windows import plan_windows
from kinema.inference.predictor import Predictor
from kinema.inference.reader import read_frames
from kinema.video import list_media, open_video
from kinema.video.writer import VideoWriter
from kinema.weights.checkpoint import ModelCard

LABELS = tuple("abcdefgh")


def draw_film(path: Path, seconds: float, size: tuple[int, int], fps: int = 25) -> str:
    """Draw a video of a textured background that moves."""
    rng = np.random.default_rng(0)
    height, width = size
    ground = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    ground = np.concatenate([ground, ground], axis=1)
    with VideoWriter(path, fps, size) as writer:
        for number in range(round(seconds * fps)):
            left = 3 * number % width
            writer.write(np.ascontiguousarray(ground[:height, left : left + width]))
    return str(path)


def build_predictor(name: str, batch_size: int, sampling: str, engine: EngineName = "torch") -> Predictor:
    from kinema import models

    spec = {"sampling": sampling, "window_s": 2.0}
    network = models.build(name, num_classes=len(LABELS), spec=spec)
    return Predictor(network, ModelCard.of(network, LABELS), batch_size=batch_size, engine=engine)


def decode(paths: list[str], predictor: Predictor) -> int:
    from kinema.clips.transforms import decode_size

    spec = predictor.network.spec
    num_clips = 0
    for path in paths:
        with open_video(path) as video:
            plan = plan_windows(spec, video.times_s, video.info.duration_s)
            num_clips += len(plan.frames)
            for _ in read_frames(video, np.unique(plan.frames), decode_size(spec, train=False)):
                pass
    return num_clips


def infer(num_clips: int, predictor: Predictor) -> None:
    import torch

    batch = predictor.scorer.batch_size
    clips = torch.randint(256, (batch, *predictor.network.spec.shape), dtype=torch.uint8)
    for first in range(0, num_clips, batch):
        predictor.score_clips(clips[: num_clips - first])


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Run a function. Returns wall-clock seconds and processor seconds of all cores."""
    started, used = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - started, time.process_time() - used


def measure_speed(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    film = draw_film(folder / "film.mp4", options.seconds, (options.height, options.height * 4 // 3))
    paths = [film] * options.films
    predictor = build_predictor(options.model, options.batch, options.sampling, options.engine)
    num_clips = decode(paths, predictor)
    sides: dict[str, Callable[[], object]] = {
        "decode_s": lambda: decode(paths, predictor),
        "infer_s": lambda: infer(num_clips, predictor),
        "predict_s": lambda: list(predictor.predict_many(paths)),
    }
    for call in sides.values():
        call()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for repeat in range(options.repeats):
        for name in list(sides)[:: 1 if repeat % 2 else -1]:
            times[name].append(timed(sides[name]))
    found = {name: round(statistics.median(wall for wall, _ in values), 3) for name, values in times.items()}
    cpu = {name: statistics.median(used for _, used in values) for name, values in times.items()}
    found |= {name.replace("_s", "_cpu_s"): round(used, 3) for name, used in cpu.items()}
    found["num_clips"] = num_clips
    shared_s = (cpu["decode_s"] + cpu["infer_s"]) / len(os.sched_getaffinity(0))
    found["floor_s"] = round(max(found["decode_s"], found["infer_s"], shared_s), 3)
    found["by_floor"] = round(found["predict_s"] / found["floor_s"], 3)
    found["cpu_by_sum"] = round(cpu["predict_s"] / (cpu["decode_s"] + cpu["infer_s"]), 3)
    found["by_larger"] = round(found["predict_s"] / max(found["decode_s"], found["infer_s"]), 3)
    found["by_sum"] = round(found["predict_s"] / (found["decode_s"] + found["infer_s"]), 3)
    found["film_s_per_s"] = round(options.films * options.seconds / found["predict_s"], 1)
    return found


def measure_settings(options: argparse.Namespace, folder: Path) -> dict[str, dict[str, float]]:
    """Wall-clock and processor seconds of each setting, and the ratio to the first setting."""
    if options.data:
        paths = list_media([options.data])
    else:
        film = draw_film(folder / "film.mp4", options.seconds, (options.height, options.height * 4 // 3))
        paths = [film] * options.films
    predictor = build_predictor(options.model, options.batch, options.sampling, options.engine)
    sides = {setting: read_setting(setting) for setting in options.settings}
    times: dict[str, list[tuple[float, float]]] = {setting: [] for setting in sides}
    list(predictor.predict_many(paths))
    for repeat in range(options.repeats):
        for setting in list(sides)[:: 1 if repeat % 2 else -1]:
            times[setting].append(timed(lambda: list(predictor.predict_many(paths, **sides[setting]))))  # noqa: B023
    walls = {setting: statistics.median(wall for wall, _ in values) for setting, values in times.items()}
    first = walls[options.settings[0]]
    return {
        setting: {
            "predict_s": round(walls[setting], 3),
            "cpu_s": round(statistics.median(used for _, used in values), 3),
            "by_first": round(walls[setting] / first, 3),
        }
        for setting, values in times.items()
    }


def read_setting(text: str) -> dict[str, int | None]:
    """Options of `predict_many`: "2x1" is two films read at once, one thread each; "auto" and "" leave the choice.

    >>> read_setting("2x"), read_setting("auto")
    ({'readers': 2, 'decode_threads': None}, {})
    """
    if text == "auto":
        return {}
    readers, _, threads = text.partition("x")
    return {"readers": int(readers) if readers else None, "decode_threads": int(threads) if threads else None}


def measure_memory(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    found = {}
    for name, seconds in (("10s", 10.0), ("long", options.hours * 3600)):
        film = draw_film(folder / f"{name}.mp4", seconds, (120, 160))
        command = [sys.executable, __file__, "--child", film, "--model", options.model, "--sampling", options.sampling]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[f"peak_{name}_mib"] = round(float(done.stdout.split()[-1]), 1)
    found["hours"] = options.hours
    found["ratio"] = round(found["peak_long_mib"] / found["peak_10s_mib"], 3)
    return found


def child(options: argparse.Namespace) -> None:
    """Predict one video in a process of its own, and print its peak resident memory in MiB."""
    build_predictor(options.model, options.batch, options.sampling)(options.child)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="slow_fusion_small")
    parser.add_argument("--sampling", default="dense", choices=["dense", "spread"])
    parser.add_argument("--films", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--hours", type=float, default=2.0, help="length of the long film; 0 leaves memory out")
    parser.add_argument("--settings", nargs="+", metavar="FILMSxTHREADS", help="compare these and nothing else")
    parser.add_argument("--data", help="with --settings: a folder of films in place of drawn ones")
    parser.add_argument("--engine", default="torch", choices=["torch", "openvino", "auto"])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        found: dict[str, object] = {"model": options.model, "cores": len(os.sched_getaffinity(0))}
        if options.settings:
            found["settings"] = measure_settings(options, Path(folder))
        else:
            found["speed"] = measure_speed(options, Path(folder))
        if options.hours and not options.settings:
            found["memory"] = measure_memory(options, Path(folder))
    print(json.dumps(found) if options.json else json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
