"""How long kinema takes to start, in new processes: help, a list, a prediction with torch and with a cached OpenVINO graph.

All sides run in turn, each in a process of its own, with compiled Python modules on disk as in an installed package. The output
has medians and their ratio to `import torch`, the least that a command with a network needs. `--modules` lists which large
packages each side has imported at its end.

    python benchmarks/startup.py [--repeats 9] [--model slow_fusion_small] [--modules] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HEAVY = (
    "torch", "torchvision", "timm", "transformers", "accelerate", "onnx", "onnxruntime", "openvino", "nncf", "pandas", "scipy",
    "sklearn", "sympy", "triton", "matplotlib", "cv2", "av", "PIL", "numpy", "rich", "cyclopts", "torch._dynamo",
    "torch._inductor",
)  # fmt: skip
COMMAND = "import sys; from kinema import cli; cli.tune_process(); status = cli.run(sys.argv[1:]); sys.exit(status)"
"""What `kinema.cli.main` does, in two steps."""
LISTING = COMMAND.replace(
    "sys.exit", f"print(*[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr); sys.exit"
)


def draw_film(path: Path, seconds: float = 4.0, fps: int = 25) -> None:
    from kinema.video.writer import VideoWriter

    frames = np.random.default_rng(0).integers(0, 256, (8, 30, 40, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    with VideoWriter(path, fps, (240, 320)) as writer:
        for number in range(round(seconds * fps)):
            writer.write(frames[number % len(frames)])


def write_checkpoint(folder: Path, name: str) -> None:
    from kinema import models
    from kinema.weights.checkpoint import ModelCard, save_checkpoint

    network = models.build(name, num_classes=8)
    save_checkpoint(folder, network, ModelCard.of(network, tuple("abcdefgh")))


def sides(place: Path, model: str) -> dict[str, list[str]]:
    """What is timed: arguments of Python."""
    write_checkpoint(place / "best", model)
    draw_film(place / "film.mp4")
    predict = ["-c", COMMAND, "predict", str(place / "film.mp4"), "--model", str(place / "best"), "--device", "cpu"]
    found = {
        "import torch": ["-c", "import torch"],
        "kinema --help": ["-c", COMMAND, "--help"],
        "kinema predict --help": ["-c", COMMAND, "predict", "--help"],
        "kinema models": ["-c", COMMAND, "models"],
        "kinema predict, torch": predict,
        "kinema predict, OpenVINO": [*predict, "--engine", "openvino"],
    }
    if subprocess.run([sys.executable, "-c", "import openvino"], capture_output=True, check=False).returncode:
        del found["kinema predict, OpenVINO"]
    return found


def run(words: list[str], environment: dict[str, str]) -> tuple[float, str]:
    """Seconds from start to end, and the last line on standard error."""
    started = time.perf_counter()
    ended = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=environment, check=True)
    return time.perf_counter() - started, next(reversed(ended.stderr.splitlines()), "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--model", default="slow_fusion_small")
    parser.add_argument("--modules", action="store_true", help="say what each side has imported")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(options, Path(folder))
    if options.json:
        print(json.dumps(rows))
        return
    for name, row in rows.items():
        print(f"{name:26} {row['seconds']:7.3f} s  {row['by_torch']:5.2f}x of import torch")
        if options.modules:
            print(f"{'':26} {', '.join(row['modules'])}")


def measure(options: argparse.Namespace, place: Path) -> dict[str, dict[str, object]]:
    environment = {**os.environ, "KINEMA_HOME": str(place / "home")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    wanted = sides(place, options.model)
    modules = {}
    for name, words in wanted.items():
        listing = [LISTING if word == COMMAND else word for word in words]
        run(listing, environment)  # compiles modules, converts the network, counts costs: none of it is timed
        told = run(listing, environment)[1]
        modules[name] = told.split() if COMMAND in words else ["torch"]
    times: dict[str, list[float]] = {name: [] for name in wanted}
    for number in range(options.repeats):
        for name, words in wanted.items():
            times[name].append(run(words, environment)[0])
        print(f"{number + 1} of {options.repeats}", file=sys.stderr, flush=True)
    torch_s = statistics.median(times["import torch"])
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    return {
        name: {"seconds": taken, "by_torch": taken / torch_s, "modules": modules[name]}
        for name, taken in medians.items()
    }


if __name__ == "__main__":
    main()
