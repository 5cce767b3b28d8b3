"""Training steps in bfloat16 on a CPU with strided depthwise convolutions: gradients by kinema and by torch.

    python benchmarks/depthwise_step.py [--backbones mobilenetv2_100 efficientnet_b0] [--batch 16] [--repeats 5] [--json]

Both sides are the same network on the same frames in one process, in turn: forward and backward without the optimiser.
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

import timm
import torch
from torch import nn

from kinema.models.device import autocast, channels_last

CPU = torch.device("cpu")


def step(network: nn.Module, frames: torch.Tensor, fixed: bool) -> float:
    """Seconds of one step."""
    started = time.perf_counter()
    with autocast(CPU, "bf16") if fixed else torch.autocast("cpu", torch.bfloat16):
        logits = network(frames)
    logits.float().logsumexp(1).sum().backward()
    return time.perf_counter() - started


def measure(backbone: str, options: argparse.Namespace) -> dict[str, float]:
    """Medians of both sides in milliseconds, and their ratio."""
    torch.manual_seed(0)
    network = timm.create_model(backbone, num_classes=10).train()
    channels_last(network)
    frames = torch.randn(options.batch, 3, options.size, options.size).contiguous(memory_format=torch.channels_last)
    times: dict[bool, list[float]] = {False: [], True: []}
    for repeat in range(options.repeats + 1):
        for fixed in (False, True) if repeat % 2 else (True, False):
            seconds = step(network, frames, fixed)
            if repeat:
                times[fixed].append(seconds)
    theirs, ours = (1000 * statistics.median(times[fixed]) for fixed in (False, True))
    return {"torch_ms": round(theirs), "kinema_ms": round(ours), "ratio": round(theirs / ours, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=["mobilenetv2_100", "efficientnet_b0"])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found = {name: measure(name, options) for name in options.backbones}
    print(json.dumps(found) if options.json else json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
