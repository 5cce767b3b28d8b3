"""Full-frame against multiresolution networks (Karpathy et al. 2014): clips a second, forward and in a training step.

Both sides run in turn in one process; the ratio is that of the medians. The paper reports about 5 clips/s for full-frame
networks and 20 for multiresolution ones in training: 4x.

    python benchmarks/multires.py [--batch 8] [--repeats 5] [--json]
"""

# ruff: noqa: E402 - a process is set up before torch is imported
from __future__ import annotations

from kinema.machine import tune_process

tune_process()  # before torch is imported, which reads how its threads wait

# isort: split

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

import torch

from kinema import models
from kinema.inspection.summary import summarize
from kinema.models.device import autocast, resolve_device, resolve_precision

NAMES = ("single_frame", "early_fusion", "late_fusion", "slow_fusion")


def forward(network: models.Network, clip: torch.Tensor, precision: str) -> None:
    network.eval()
    with torch.inference_mode(), autocast(clip.device, precision):
        network(clip)


def training_step(network: models.Network, clip: torch.Tensor, precision: str) -> None:
    network.train()
    network.zero_grad(set_to_none=True)
    with autocast(clip.device, precision):
        loss = network(clip).float().logsumexp(1).mean()
    loss.backward()


def seconds(step: Callable[..., None], network: models.Network, clip: torch.Tensor, precision: str) -> float:
    if clip.is_cuda:
        torch.cuda.synchronize()
    started = time.perf_counter()
    step(network, clip, precision)
    if clip.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - started


def compare(name: str, options: argparse.Namespace) -> dict[str, object]:
    device = resolve_device(options.device)
    precision = resolve_precision(options.precision, device)
    sides = [models.build(which, num_classes=487).to(device) for which in (name, f"{name}_multires")]
    clips = [torch.randn(options.batch, *side.spec.shape, device=device) for side in sides]
    row: dict[str, object] = {"network": name, "precision": precision}
    row["gmacs"] = [round(summarize(side, side.spec.shape).macs / 1e9, 3) for side in sides]
    for label, step in (("forward", forward), ("training", training_step)):
        times: tuple[list[float], list[float]] = ([], [])
        for repeat in range(options.repeats + 1):
            for side in (0, 1):
                took = seconds(step, sides[side], clips[side], precision)
                if repeat:  # the first one warms up
                    times[side].append(took)
        full, multires = (statistics.median(side) for side in times)
        row[label] = {
            "full_clips_per_s": round(options.batch / full, 2),
            "multires_clips_per_s": round(options.batch / multires, 2),
            "ratio": round(full / multires, 2),
        }
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--models", nargs="*", default=NAMES)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for name in options.models:
        rows.append(compare(name, options))
        print(rows[-1], file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps(rows))
        return
    for row in rows:
        full, multires = row["gmacs"]  # type: ignore[misc]
        print(f"{row['network']:14s} {full:7.2f} -> {multires:6.2f} GMACs", end="")
        for label in ("forward", "training"):
            cell = row[label]
            print(
                f"   {label} {cell['full_clips_per_s']} -> {cell['multires_clips_per_s']} clips/s = {cell['ratio']}x",
                end="",
            )
        print()


if __name__ == "__main__":
    main()
