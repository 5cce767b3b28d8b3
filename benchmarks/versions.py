"""Two checkouts of kinema against each other: start-up, forward passes, and predictions of videos.

Each side has a process of its own that takes requests, so that both are measured in turn in one run. The output has, for each
measurement, the fastest and the median time of both sides and the ratio of the other checkout's fastest time to this one's:
above 1, this checkout is faster. Start-up runs a new process each time.

    git worktree add /tmp/other COMMIT
    python benchmarks/versions.py /tmp/other/src [--models r3d_18 x3d_m] [--videos FOLDER] [--repeats 9] [--json]
    python benchmarks/versions.py /tmp/other/src --only start --repeats 12
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

HERE = Path(__file__).resolve().parents[1] / "src"
COMMANDS = (
    "demo", "check", "flow", "train", "compare", "crossval", "evaluate", "fuse", "predict", "watch", "features", "export",
    "models", "describe", "bench",
)  # fmt: skip
MODELS = ("single_frame_small", "slow_fusion_small", "r3d_18", "x3d_m", "slowfast_r50", "mvit_v2_s")

WORKER = """
import json, sys, time
try:
    from kinema.machine import tune_process
except ImportError:  # from before importing kinema changed nothing in the process
    import kinema
else:
    tune_process()
import torch
from kinema.inference.predictor import Predictor
from kinema.models import build
try:
    from kinema.weights.checkpoint import ModelCard
except ImportError:  # from before weights had a package of their own
    from kinema.models.checkpoint import ModelCard

torch.set_num_threads(int(sys.argv[1]))
predictors = {}
for line in sys.stdin:
    asked = json.loads(line)
    key = (asked["model"], asked["engine"])
    if key not in predictors:
        torch.manual_seed(0)
        network = build(asked["model"], num_classes=10).eval()
        card = ModelCard.of(network, tuple("abcdefghij"))
        predictors[key] = Predictor(network, card, device="cpu", precision="f32", engine=asked["engine"])
    predictor = predictors[key]
    clip = torch.zeros(1, *predictor.spec.shape, dtype=torch.uint8)
    started = time.perf_counter()
    if asked["videos"]:
        list(predictor.predict_many(asked["videos"]))
    else:
        predictor.score_clips(clip)
    print(json.dumps(time.perf_counter() - started), flush=True)
"""


class Side:
    """One checkout."""

    def __init__(self, source: Path, threads: int, home: Path) -> None:
        self.environment = os.environ | {"PYTHONPATH": str(source), "KINEMA_HOME": str(home)}
        self.worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(threads)], env=self.environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def ask(self, model: str, engine: str, videos: list[str]) -> float:
        """Seconds for one forward pass, or for the prediction of videos."""
        assert self.worker.stdin is not None
        assert self.worker.stdout is not None
        print(json.dumps({"model": model, "engine": engine, "videos": videos}), file=self.worker.stdin, flush=True)
        return json.loads(self.worker.stdout.readline())

    def start(self, arguments: list[str]) -> float:
        """Seconds that a new process takes."""
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], env=self.environment, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - started


def measure(name: str, sides: list[Side], call, repeats: int) -> dict[str, object]:
    times: list[list[float]] = [[], []]
    for side in sides:  # not counted: imports, caches, conversions
        call(side)
    for repeat in range(repeats):
        for place in (0, 1) if repeat % 2 else (1, 0):
            times[place].append(call(sides[place]))
    fastest, middle = [min(taken) for taken in times], [statistics.median(taken) for taken in times]
    row = {"name": name, "other_s": fastest[0], "this_s": fastest[1], "ratio": fastest[0] / fastest[1]}
    row |= {"other_median_s": middle[0], "this_median_s": middle[1], "ratio_of_medians": middle[0] / middle[1]}
    print(
        f"{name:42} {1000 * fastest[0]:9.1f} {1000 * fastest[1]:9.1f} ms {row['ratio']:6.2f}"
        f"   medians {1000 * middle[0]:9.1f} {1000 * middle[1]:9.1f} ms {row['ratio_of_medians']:6.2f}",
        file=sys.stderr, flush=True,
    )  # fmt: skip
    return row


def starts() -> dict[str, list[str]]:
    """Processes whose start is measured, by name."""
    helps = {f"kinema {name} --help": ["-m", "kinema", name, "--help"] for name in COMMANDS}
    return {
        "import torch": ["-c", "import torch"],
        "kinema --help": ["-m", "kinema", "--help"],
        **helps,
        "import the predictor": ["-c", "import kinema; kinema.Predictor"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="the src folder of the other checkout")
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--engines", nargs="*", default=["torch"])
    parser.add_argument("--videos", type=Path, help="a folder of .mp4 files to predict")
    parser.add_argument("--only", choices=["start", "forward", "videos"], help="measure this alone")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        places = [options.other.resolve(), HERE]
        sides = [Side(source, options.threads, Path(home) / str(number)) for number, source in enumerate(places)]
        rows = []
        for name, arguments in starts().items() if options.only in (None, "start") else ():
            rows.append(measure(name, sides, lambda side, a=arguments: side.start(a), options.repeats))
        for engine in options.engines if options.only in (None, "forward") else ():
            for model in options.models:
                call = lambda side, m=model, e=engine: side.ask(m, e, [])  # noqa: E731
                rows.append(measure(f"forward, {model}, {engine}", sides, call, options.repeats))
        if options.videos and options.only in (None, "videos"):
            videos = sorted(map(str, options.videos.rglob("*.mp4")))[:20]
            for model in [name for name in options.models if name.endswith("_small")]:
                call = lambda side, m=model: side.ask(m, "torch", videos)  # noqa: E731
                rows.append(measure(f"predict {len(videos)} videos, {model}", sides, call, options.repeats))
    if options.json:
        print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
