"""From file to answer: kinema against the tutorials, on a folder of short videos and on one long 720p video.

References are transformers' video-classification pipeline (VideoMAE and TimeSformer, base size) and plain loops as in
tutorials: decode the whole video to RGB with PyAV (`--decord`: decord), sample uniformly, transform, one clip at a time in eager
float32 (torchvision's r3d_18; PyTorchVideo's slow_r50 and slowfast_r50). Both sides have the same weights and use the same
frames; the best labels are compared. The time to load a network is in neither side. Sides run in turn; medians of the repeats:

    ratio       their time / kinema's, through Python
    by_larger   kinema's time / the larger of decoding alone and inference alone (the same clips, ready in memory); by_sum: / both
    by_floor    kinema's time / a lower bound for any program: the larger of the two, or, where both need the same cores, the
                processor time of both divided by the number of cores
    same        videos with the same best label, against the tutorial as it is, and against the tutorial with antialiasing:
                plain loops shrink frames without it, which alone can change a label
    hits        best labels that equal the name of the video's folder: theirs both ways, and kinema's; of use with `--learn`
    command_s   `kinema predict --json` as a command, start and loading included; as many clips, of frames between theirs

With `--int8` kinema runs the network as an 8-bit OpenVINO file, which `kinema export` quantises with clips of `--data`. Weights
are random; with `--learn` the last layer is trained on 100 other videos, so that best labels have a meaning. Transformers'
pipeline reads videos with torchcodec, which needs FFmpeg's libraries (Debian's package ffmpeg).

    python benchmarks/end_to_end.py [--sides torchvision …] [--data hockey/] [--film match.mp4] [--engine auto] [--int8] [--json]
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
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from predict import draw_film, timed
from tutorials import CLIP_S, Side, Theirs, learn, open_sides

from kinema.clips.transforms import decode_size
from kinema.clips.windows import Windows
from kinema.errors import KinemaError
from kinema.inference.predictor import Predictor, load
from kinema.inference.reader import read_frames
from kinema.predictions import Prediction
from kinema.video import list_media, open_video
from kinema.weights.checkpoint import ModelCard, save_checkpoint

LEARNED_FROM = 100


class Ours:
    """kinema with the weights of a side, on the frames that the side uses."""

    def __init__(self, side: Side, options: argparse.Namespace, folder: Path) -> None:
        card = ModelCard.of(side.network, side.labels)
        self.checkpoint, self.options = folder / "checkpoint", options
        save_checkpoint(self.checkpoint, side.network, card)
        self.given = ["--engine", options.engine, "--precision", options.precision]
        if options.int8:
            self.checkpoint, self.given = quantised(self.checkpoint, folder / "int8.xml", options), []
            self.predictor = load(self.checkpoint, batch_size=options.batch)
        else:
            self.predictor = Predictor(
                side.network, card, engine=options.engine, precision=options.precision, batch_size=options.batch
            )
        self.predictor.plan = lambda spec, times_s, duration_s, wanted: as_one(
            side.frames(times_s, duration_s), duration_s
        )

    def predict(self, paths: list[str]) -> np.ndarray:
        """Scores [videos classes]."""
        outcomes = self.predictor.predict_many(paths, readers=self.options.readers, decode_threads=self.options.threads)
        return np.stack([outcome.scores for outcome in outcomes if isinstance(outcome, Prediction)])

    def hits(self, paths: list[str], scores: np.ndarray) -> int:
        """How many best labels equal the names of the videos' folders."""
        labels = self.predictor.labels
        return sum(labels[row.argmax()] == Path(path).parent.name for path, row in zip(paths, scores, strict=True))

    def decode(self, paths: list[str]) -> int:
        """Decode every frame that the network needs, at its size. Returns the number of clips."""
        spec, num_clips = self.predictor.spec, 0
        for path in paths:
            with open_video(path, threads=self.options.threads) as video:
                plan = self.predictor.plan(spec, video.times_s, video.info.duration_s, None)
                num_clips += len(plan.frames)
                for _ in read_frames(video, np.unique(plan.frames), decode_size(spec, train=False)):
                    pass
        return num_clips

    def infer(self, num_clips: int) -> None:
        batch = self.predictor.scorer.batch_size
        clips = torch.randint(256, (batch, *self.predictor.spec.shape), dtype=torch.uint8)
        for first in range(0, num_clips, batch):
            self.predictor.score_clips(clips[: num_clips - first])

    def command(self, paths: list[str]) -> None:
        windows = ["--step", str(CLIP_S)] if self.predictor.spec.window_s else []
        command = ["predict", *paths, "--model", str(self.checkpoint), *self.given, "--json", *windows]
        subprocess.run([sys.executable, "-m", "kinema", *command], check=True, capture_output=True)


def quantised(checkpoint: Path, out: Path, options: argparse.Namespace) -> Path:
    if not options.data:
        raise SystemExit("--int8 needs clips to calibrate by: give --data")
    command = ["export", str(checkpoint), "--format", "openvino", "--precision", "int8", "--out", str(out)]
    command += ["--calibrate", options.data, "--calibration-clips", str(options.calibration_clips)]
    subprocess.run([sys.executable, "-m", "kinema", *command], check=True, stdout=sys.stderr)
    return out


def as_one(frames: np.ndarray, duration_s: float) -> Windows:
    """All clips as one window, the whole video."""
    return Windows(frames, np.zeros(len(frames), np.int64), np.array([[0.0, duration_s]]))


def medians(
    sides: dict[str, Callable[[], tuple[float, float]]], repeats: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Median wall-clock and processor seconds of each side.

    Sides run in turn, in alternating order; the first run does not count.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for repeat in range(repeats + 1):
        for name in list(sides)[:: 1 if repeat % 2 else -1]:
            time.sleep(0.2)  # OpenMP's threads spin for a while when they have nothing more to do
            measured = sides[name]()
            if repeat:
                times[name].append(measured)
    both = {name: [statistics.median(values) for values in zip(*pairs, strict=True)] for name, pairs in times.items()}
    return {name: wall for name, (wall, _) in both.items()}, {name: used for name, (_, used) in both.items()}


def compare(other: Theirs, ours: Ours, paths: list[str], options: argparse.Namespace) -> dict[str, Any]:
    theirs, antialiased = other.predict(paths), other.predict(paths, antialias=True)
    found, num_clips = ours.predict(paths), ours.decode(paths)
    if len(found) != len(theirs):
        raise SystemExit(f"{len(theirs) - len(found)} films could not be read")
    sides: dict[str, Callable[[], tuple[float, float]]] = {
        "theirs_s": lambda: other.times(paths),
        "ours_s": lambda: timed(lambda: ours.predict(paths)),
        "decode_s": lambda: timed(lambda: ours.decode(paths)),
        "infer_s": lambda: timed(lambda: ours.infer(num_clips)),
    }
    if not options.no_command:
        sides["command_s"] = lambda: timed(lambda: ours.command(paths))
    seconds, used = medians(sides, options.repeats)
    wall, decode_s, infer_s = seconds["ours_s"], seconds["decode_s"], seconds["infer_s"]
    shared_s = (used["decode_s"] + used["infer_s"]) / len(os.sched_getaffinity(0))
    row = {"films": len(paths), "clips": num_clips} | {name: round(value, 3) for name, value in seconds.items()}
    row |= {
        "ratio": round(seconds["theirs_s"] / wall, 2),
        "by_larger": round(wall / max(decode_s, infer_s), 3),
        "by_floor": round(wall / max(decode_s, infer_s, shared_s), 3),
        "by_sum": round(wall / (decode_s + infer_s), 3),
        "same": [int((scores.argmax(1) == found.argmax(1)).sum()) for scores in (theirs, antialiased)],
        "hits": [ours.hits(paths, scores) for scores in (theirs, antialiased, found)],
        "largest_difference": [round(float(np.abs(scores - found).max()), 4) for scores in (theirs, antialiased)],
    }
    if "command_s" in seconds:
        row["command_ratio"] = round(seconds["theirs_s"] / seconds["command_s"], 2)
    return row


def inputs(options: argparse.Namespace, folder: Path) -> dict[str, list[str]]:
    """A folder of short videos and a long one, given or drawn."""
    if options.data:
        short = spread(list_media([options.data]), options.films)
    else:
        short = [draw_film(folder / f"{n}.mp4", 1.7, (288, 360)) for n in range(options.films)]
    long = options.film or draw_film(folder / "long.mp4", options.seconds, (720, 1280))
    return {name: paths for name, paths in (("short", short), ("long", [long])) if name in options.inputs}


def spread(paths: list[str], count: int) -> list[str]:
    """`count` of the paths, evenly spaced; 0 takes all."""
    return [paths[number * len(paths) // count] for number in range(count)] if 0 < count < len(paths) else paths


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    films = inputs(options, folder)
    found: dict[str, Any] = {"cores": len(os.sched_getaffinity(0)), "engine": options.engine}
    for name in options.sides:
        found[name] = {}
        place = folder / name
        place.mkdir()
        given = argparse.Namespace(**vars(options), labels=None, weights=None, antialias=False)
        torch.manual_seed(0)
        try:
            if options.learn:
                others = [path for path in list_media([options.learn]) if path not in films.get("short", [])]
                given = learn(name, spread(others, LEARNED_FROM), given, place)
            measure_side(open_sides(given, place)[name], films, found[name], given, place)
        except (ImportError, OSError) as error:
            found[name]["cannot_run"] = str(error)
    return found


def measure_side(
    build: Callable[[], Side],
    films: dict[str, list[str]],
    found: dict[str, Any],
    options: argparse.Namespace,
    place: Path,
) -> None:
    torch.manual_seed(0)
    ours = Ours(build(), options, place)
    found["ours"] = repr(ours.predictor)
    with Theirs(place.name, options, place / "theirs") as other:
        for kind, paths in films.items():
            found[kind] = compare(other, ours, paths, options)
            print(place.name, kind, found[kind], file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ["videomae", "timesformer", "torchvision", "slow_r50", "slowfast_r50"]
    parser.add_argument("--sides", nargs="+", default=names, choices=names)
    parser.add_argument("--inputs", nargs="+", default=["short", "long"], choices=["short", "long"])
    parser.add_argument("--data", help="a folder of short clips; without it they are drawn")
    parser.add_argument("--films", type=int, default=20, help="most short clips; 0 takes all of the folder")
    parser.add_argument("--learn", help="a folder of films in a folder a class: last layers learn from 100 of them")
    parser.add_argument("--film", help="a long film; without it one is drawn")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the drawn long film")
    parser.add_argument("--hf", help="a network of transformers' hub in place of a random one; give its side alone")
    parser.add_argument("--layers", type=int, default=12, help="of transformers' networks; 12 is as published")
    parser.add_argument("--decord", action="store_true", help="plain loops read with decord instead of PyAV")
    parser.add_argument("--width", type=int, default=64, help="of PyTorchVideo's networks; 64 is as published")
    parser.add_argument("--engine", default="auto", choices=["torch", "openvino", "auto"])
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--int8", action="store_true", help="8-bit numbers, calibrated by --data")
    parser.add_argument("--calibration-clips", type=int, default=32, help="that set the 8-bit ranges")
    parser.add_argument("--batch", type=int, help="clips that go through kinema's network at once")
    parser.add_argument("--readers", type=int, help="films that kinema reads at once")
    parser.add_argument("--threads", type=int, help="of each of kinema's decoders")
    parser.add_argument(
        "--network-threads", type=int, help="of kinema's network; fewer than cores leave some to decoders"
    )
    parser.add_argument("--no-command", action="store_true", help="leave the command out")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.learn and options.hf:
        parser.error("--learn is for random weights, and a network of the hub has its own: leave --learn or --hf out")
    if options.network_threads:
        torch.set_num_threads(options.network_threads)
    try:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(options, Path(folder))
    except KinemaError as error:
        raise SystemExit(f"error: {error}") from None
    print(json.dumps(found) if options.json else json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
