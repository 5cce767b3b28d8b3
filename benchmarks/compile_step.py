"""What torch.compile gains in training: the same step with and without it, in turn in one process.

    python benchmarks/compile_step.py [--models slow_fusion_small slowfast_small] [--batch 8] [--repeats 7] [--json]

`first_s` is the time of the first compiled step, which includes compilation. `pays_after` is the number of steps after which
the compiled run is ahead.
"""

# ruff: noqa: E402 - a process is set up before torch is imported
from __future__ import annotations

from kinema.machine import tune_process

tune_process()  # before torch is imported, which reads how its threads wait

# isort: split

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch

from kinema import models
from kinema.profiling.one_step import training_step
from kinema.training.options import FitOptions


def timed(step: Callable[[], float]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def measure(name: str, options: argparse.Namespace) -> dict[str, float]:
    steps = {}
    for compiled in (False, True):
        network = models.build(name, num_classes=10)
        fit = FitOptions(batch_size=options.batch, compile=compiled, precision=options.precision)
        steps[compiled] = training_step(network, fit, options.device)
    timed(steps[False])
    first_s = timed(steps[True])
    times: dict[bool, list[float]] = {False: [], True: []}
    for repeat in range(options.repeats + 1):
        for compiled in (False, True) if repeat % 2 else (True, False):
            seconds = timed(steps[compiled])
            if repeat:
                times[compiled].append(seconds)
    plain_s, compiled_s = statistics.median(times[False]), statistics.median(times[True])
    saved_s = plain_s - compiled_s
    return {
        "plain_ms": round(1000 * plain_s, 1),
        "compiled_ms": round(1000 * compiled_s, 1),
        "ratio": round(plain_s / compiled_s, 3),
        "first_s": round(first_s, 1),
        "pays_after": round(first_s / saved_s) if saved_s > 0 else -1,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--models", nargs="+", default=["slow_fusion_small", "slowfast_small", "x3d_xs", "r2plus1d_small"]
    )
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found = {name: measure(name, options) for name in options.models}
    print(json.dumps(found) if options.json else json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
