"""Memory of `kinema localize` on a video of two hours and one of ten minutes, and its time on a folder beside `kinema predict`.

Videos of low resolution are drawn. Each command runs in a process of its own, whose largest resident memory is read. The networks
have random weights, which changes no cost.

    python benchmarks/long_localize.py [--hours 2] [--films 8] [--fps 4] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kinema.models import VARIANTS, build
from kinema.video import VideoWriter
from kinema.weights.checkpoint import ModelCard, save_checkpoint

SIZE = (48, 64)


def frames(count: int) -> Iterator[np.ndarray]:
    """A light bar that moves over noise, which repeats after some seconds so that drawing is fast."""
    generator = np.random.default_rng(0)
    pictures = [generator.integers(40, 80, (*SIZE, 3), np.uint8) for _ in range(97)]
    for place, picture in enumerate(pictures):
        picture[:, place % SIZE[1]] = 220
    for index in range(count):
        yield pictures[index % len(pictures)]


def draw(path: Path, seconds: float, fps: float) -> Path:
    with VideoWriter(path, fps, SIZE) as writer:
        for frame in frames(round(seconds * fps)):
            writer.write(frame)
    return path


def make_networks(folder: Path) -> dict[str, Path]:
    labels = ("a", "b", "c", "d", "e")
    spec = VARIANTS["single_frame_tiny"].input
    clip = build("single_frame_tiny", num_classes=len(labels))
    encoder = {"variant": "single_frame_tiny", "arguments": {"num_classes": len(labels)}}
    located = build("segments_one_stage", num_classes=len(labels), spec=spec.to_json(), encoder=encoder)
    save_checkpoint(folder / "clips", clip, ModelCard.of(clip, labels))
    save_checkpoint(folder / "one-stage", located, ModelCard.of(located, labels, task="segments", multi_label=True))
    return {"clips": folder / "clips", "one-stage": folder / "one-stage"}


def run(*words: str) -> tuple[float, float]:
    """Seconds and the largest resident memory in MB of one command."""
    command = [
        sys.executable,
        "-m",
        "kinema",
        *words,
        "--device",
        "cpu",
        "--engine",
        "torch",
        "--precision",
        "f32",
        "--json",
    ]
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"failed: {' '.join(command)}")
    return time.monotonic() - started, usage.ru_maxrss / 1024


def measure(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    short = draw(folder / "short.mp4", 600, options.fps)
    long = draw(folder / "long.mp4", options.hours * 3600, options.fps)
    for number in range(options.films):
        draw(folder / "films" / f"{number}.mp4", 60, options.fps)
    found: dict[str, object] = {"hours": options.hours, "films": options.films, "fps": options.fps}
    networks = make_networks(folder)
    for way, model in networks.items():
        peaks = {}
        for name, video in (("short", short), ("long", long)):
            seconds, peaks[name] = run("localize", str(video), "--model", str(model))
            found[f"{way}_{name}_seconds"] = round(seconds, 1)
            found[f"{way}_{name}_mb"] = round(peaks[name])
            print(f"{way} {name}: {seconds:.1f} s, {peaks[name]:.0f} MB", file=sys.stderr, flush=True)
        found[f"{way}_memory_ratio"] = round(peaks["long"] / peaks["short"], 3)
    step = ("--step", "0.1")
    times = {
        command: min(run(command, str(folder / "films"), "--model", str(networks["clips"]), *step)[0] for _ in range(3))
        for command in ("predict", "localize")
    }
    found |= {f"{command}_folder_seconds": round(seconds, 2) for command, seconds in times.items()}
    found["folder_ratio"] = round(times["localize"] / times["predict"], 3)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--films", type=int, default=8)
    parser.add_argument("--fps", type=float, default=4.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "films").mkdir()
        found = measure(options, Path(folder))
    if options.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:28} {value}")


if __name__ == "__main__":
    main()
