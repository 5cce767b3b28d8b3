"""What it gains to keep freed memory (`kinema.tune_process`), against glibc's default.

    python benchmarks/kept_memory.py [--models x3d_m slowfast_r50] [--batch 2] [--repeats 5] [--precision f32] [--json]

Both sides are processes of their own with the same network and the same clips, and run in turn: a forward pass of one clip, and
a training step (forward and backward), in torch. The peak memory of each process is reported too.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import time
from typing import TYPE_CHECKING, Any

from kinema.machine import peak_memory_mib, tune_process

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

LEFT_ALONE = "MALLOC_PERTURB_"
"""Any MALLOC_ variable makes `tune_process` leave the allocator alone; 0 is the default of this one."""


def serve(pipe: Connection, model: str, batch: int, precision: str, threads: int) -> None:
    """Run what is requested, and answer with the seconds it took."""
    tune_process()
    import torch

    from kinema.models import build
    from kinema.models.device import autocast, channels_last

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = build(model, num_classes=100)
    channels_last(network)
    clips = torch.randn(batch, *network.spec.shape).contiguous(memory_format=torch.channels_last_3d)
    cpu = torch.device("cpu")
    for wanted in iter(pipe.recv, "end"):
        started = time.perf_counter()
        if wanted == "forward":
            network.eval()
            with torch.inference_mode(), autocast(cpu, precision):
                network(clips[:1])
        elif wanted == "step":
            network.train()
            with autocast(cpu, precision):
                logits = network(clips)
            logits.float().logsumexp(1).sum().backward()
        pipe.send(peak_memory_mib() if wanted == "memory" else time.perf_counter() - started)
    pipe.send(None)


def measure(model: str, options: argparse.Namespace) -> dict[str, Any]:
    """Medians of both sides in milliseconds, their ratios, and their peak memory."""
    sides = {side: start(side, model, options) for side in ("glibc", "kinema")}
    found: dict[str, Any] = {}
    for work in ("forward", "step"):
        times: dict[str, list[float]] = {side: [] for side in sides}
        for repeat in range(options.repeats + 1):
            for side in list(sides)[:: 1 if repeat % 2 else -1]:
                times[side].append(ask(sides[side], work))
        medians = {side: 1000 * statistics.median(values[1:]) for side, values in times.items()}
        found |= {f"{work}_{side}_ms": round(value, 1) for side, value in medians.items()}
        found[f"{work}_ratio"] = round(medians["glibc"] / medians["kinema"], 2)
    found |= {f"memory_{side}_mib": round(ask(pipe, "memory")) for side, pipe in sides.items()}
    for pipe in sides.values():
        ask(pipe, "end")
    return found


def start(side: str, model: str, options: argparse.Namespace) -> Connection:
    """Start a process with the network. Returns the connection to it."""
    context = multiprocessing.get_context("spawn")
    os.environ.pop(LEFT_ALONE, None)
    if side == "glibc":
        os.environ[LEFT_ALONE] = "0"
    ours, theirs = context.Pipe()
    given = (theirs, model, options.batch, options.precision, options.threads)
    context.Process(target=serve, args=given, daemon=True).start()
    return ours


def ask(pipe: Connection, wanted: str) -> Any:
    pipe.send(wanted)
    return pipe.recv()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = ["slow_fusion_small", "r3d_18", "r2plus1d_18", "slowfast_r50", "x3d_m"]
    parser.add_argument("--models", nargs="+", default=models)
    parser.add_argument("--batch", type=int, default=2, help="clips of a training step")
    parser.add_argument("--precision", default="f32", choices=["f32", "bf16"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {}
    for name in options.models:
        found[name] = measure(name, options)
        print(name, found[name], flush=True) if not options.json else None
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
