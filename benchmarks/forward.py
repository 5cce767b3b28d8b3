"""Forward passes of published networks: kinema against torchvision and PyTorchVideo in eager float32.

Both sides have the same random weights, copied with `kinema.weights.convert`, and get the same clips. kinema gets uint8 and
normalises it; the reference gets normalised float32. All sides run in turn, the reference in a process of its own with
torch's default settings. The output has the medians and the ratio of the reference to each side. Scores of random weights
hardly differ, so logits are scaled to a standard deviation of 3 before the comparison, which gives the largest difference of a
score and whether the best classes are equal.

The peak of the machine is measured too: torch.matmul at several sizes, and a convolution in OpenVINO, which is faster than
torch.matmul on some processors. The share of a network is 2 x its multiply-adds / its time / the peak.

    python benchmarks/forward.py [--models r3d_18 s3d] [--runs 7] [--threads 2] [--engines auto torch] [--json]

On a busy machine `--clock cpu --threads 1` measures processor time instead of wall-clock time.
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
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from isolated import Isolated, build_reference
from torch import Tensor, nn

from kinema.clips.transforms import normalize
from kinema.engines.choose import open_scorer
from kinema.engines.options import EngineOptions
from kinema.engines.parity import probe_clips
from kinema.inspection.summary import summarize
from kinema.models import build, mvit, resnet3d, s3d, slowfast, x3d
from kinema.models.network import Network
from kinema.models.state_dict import check_fit
from kinema.weights.checkpoint import ModelCard
from kinema.weights.convert import Renames, convert

NUM_CLASSES = 400
DEVIATION = 3.0
REFERENCE = "reference f32"
_PAUSE_S = 0.1
"""Pause before each run, because OpenMP's threads spin for a while after their last work."""


@dataclass(frozen=True)
class Case:
    """A network of kinema and the same one elsewhere."""

    renames: Renames
    spec: dict[str, Any] = field(default_factory=dict)
    feed: Callable[[Tensor], Any] = lambda clips: clips


def pathways(clips: Tensor) -> list[Tensor]:
    seen = torch.tensor(slowfast.slow_frames(clips.shape[2], 4))
    return [clips.index_select(2, seen), clips]


CASES = {
    "r3d_18": Case(resnet3d.FROM_TORCHVISION),
    "r2plus1d_18": Case(resnet3d.FROM_TORCHVISION),
    "s3d": Case(s3d.FROM_TORCHVISION, {"clip_len": 16}),
    "slowfast_r50": Case(slowfast.FROM_PYTORCHVIDEO, feed=pathways),
    "x3d_m": Case(x3d.FROM_PYTORCHVIDEO),
    "mvit_v2_s": Case(mvit.FROM_TORCHVISION),
}


def scatter(module: nn.Module) -> nn.Module:
    """Draw weights that carry the input through to the logits, and batch norm statistics unlike their defaults."""
    generator = torch.Generator().manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, nn.Conv3d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
        elif isinstance(layer, nn.modules.batchnorm._BatchNorm):
            for tensor in (layer.weight, layer.running_var):
                tensor.data.uniform_(0.5, 1.5, generator=generator)
            for tensor in (layer.bias, layer.running_mean):
                tensor.data.normal_(0, 0.2, generator=generator)
    return module.eval()


def pair(name: str) -> tuple[nn.Module, Network]:
    """Build a reference with random weights and kinema's network with the same weights."""
    torch.manual_seed(0)
    case = CASES[name]
    theirs = scatter(build_reference(name, NUM_CLASSES))
    ours = build(name, num_classes=NUM_CLASSES, spec=case.spec).eval()
    converted = convert(theirs.state_dict(), case.renames)
    check_fit(converted, ours.state_dict(), name, "")
    ours.load_state_dict(converted)
    return theirs, ours


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    theirs, ours = pair(name)
    card = ModelCard.of(ours, tuple(f"class {number}" for number in range(NUM_CLASSES)))
    clips = probe_clips(ours.spec, options.batch)
    given = CASES[name].feed(normalize(clips, ours.spec).contiguous())

    with torch.inference_mode():
        exact = theirs(list(given) if isinstance(given, list) else given).numpy()  # SlowFast writes into its list
    sides: dict[str, Callable[[], np.ndarray]] = {}
    for engine in options.engines:
        for precision in options.precisions:
            scorer = open_scorer(
                ours, card, EngineOptions(engine=engine, device="cpu", precision=precision, batch_size=options.batch)
            )
            sides.setdefault(f"{scorer.engine} {scorer.precision}", lambda scorer=scorer: scorer(clips))
    logits = {side: call() for side, call in sides.items()}  # also what is done only once
    macs = summarize(ours).macs * options.batch
    with Isolated(name, theirs, given, options.threads) as reference:
        timed = {REFERENCE: lambda: reference.run()[options.clock == "cpu"]}
        timed |= {side: partial(seconds_of, call, options.clock) for side, call in sides.items()}
        times = in_turn(timed, options.runs)
    medians = {side: statistics.median(values) for side, values in times.items()}
    rows = {
        side: {
            "ms": 1e3 * seconds, "ratio": medians[REFERENCE] / seconds, "gflops": 2 * macs / seconds / 1e9,
            **agreement(exact, logits.get(side, exact)),
        }
        for side, seconds in medians.items()
    }  # fmt: skip
    return {"input": list(clips.shape), "gmacs": macs / 1e9, "sides": rows}


def seconds_of(call: Callable[[], Any], clock: str) -> float:
    now = time.perf_counter if clock == "wall" else time.process_time
    started = now()
    call()
    return now() - started


def in_turn(sides: dict[str, Callable[[], float]], runs: int) -> dict[str, list[float]]:
    """Seconds of each run, after one that does not count; the order is turned around every time."""
    times: dict[str, list[float]] = {side: [] for side in sides}
    for run in range(runs + 1):
        for side in list(sides)[:: 1 if run % 2 else -1]:
            time.sleep(_PAUSE_S)
            seconds = sides[side]()
            if run:
                times[side].append(seconds)
    return times


def agreement(exact: np.ndarray, found: np.ndarray) -> dict[str, Any]:
    scale = DEVIATION / exact.std()
    first, second = (torch.from_numpy(scale * (rows - exact.mean())).softmax(-1) for rows in (exact, found))
    same = bool((first.argmax(-1) == second.argmax(-1)).all())
    return {"difference": float((first - second).abs().max()), "same_best": same}


def peaks(clock: str) -> dict[str, dict[str, float]]:
    """GFLOPS in f32 and bf16 by what was multiplied."""
    found: dict[str, dict[str, float]] = {"f32": {}, "bf16": {}}
    for precision, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16)):
        for side in (512, 1024, 2048, 4096):
            left, right = (torch.randn(side, side).to(dtype) for _ in range(2))
            found[precision][f"matmul {side}"] = rate(lambda a=left, b=right: a @ b, 2 * side**3, clock)
        found[precision] |= convolution_peak(precision, clock)
    return found


def convolution_peak(precision: str, clock: str) -> dict[str, float]:
    try:
        from kinema.engines.openvino import compile_graph, to_openvino

        layer, clip = nn.Conv3d(256, 256, 3, padding=1, bias=False), torch.randn(1, 256, 8, 28, 28)
        with torch.no_grad():
            graph = compile_graph(to_openvino(torch.export.export(layer.eval(), (clip,)), "conv", "out"), precision)
    except Exception as error:  # without OpenVINO there is one peak less
        print(f"no convolution in OpenVINO: {error}", file=sys.stderr)
        return {}
    work = 2 * layer.weight.numel() * clip[0, 0].numel()
    return {"openvino conv 3x3x3": rate(lambda: graph([clip.numpy()]), work, clock)}


def rate(call: Callable[[], Any], work: float, clock: str) -> float:
    """GFLOPS of the fastest of several runs, after a first one."""
    call()
    best = min(in_turn({"": partial(seconds_of, call, clock)}, 7)[""])
    return work / best / 1e9


def shares(found: dict[str, Any], machine: dict[str, dict[str, float]]) -> None:
    """Add what share of the machine each side reaches: of torch.matmul, and of the fastest of all."""
    for row in found.values():
        for side, values in row["sides"].items():
            rates = machine[side.split()[-1]]
            products = max(value for name, value in rates.items() if name.startswith("matmul"))
            values["of_matmul"] = values["gflops"] / products
            values["of_peak"] = values["gflops"] / max(rates.values())


def show(found: dict[str, Any], machine: dict[str, dict[str, float]]) -> None:
    for precision, rates in machine.items():
        print(f"{precision}: " + ", ".join(f"{name} {value:.0f} GFLOPS" for name, value in rates.items()))
    print(
        f"\n{'network':12} {'side':14} {'ms':>8} {'ratio':>6} {'GFLOPS':>7} {'matmul':>7} {'peak':>6}  same best  difference"
    )
    for name, row in found.items():
        for side, v in row["sides"].items():
            print(
                f"{name:12} {side:14} {v['ms']:8.1f} {v['ratio']:6.2f} {v['gflops']:7.0f} {v['of_matmul']:7.0%}"
                f" {v['of_peak']:6.0%}  {'yes' if v['same_best'] else 'NO':9}  {v['difference']:.1e}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--engines", nargs="+", default=["auto", "torch"], choices=["auto", "openvino", "torch"])
    parser.add_argument("--precisions", nargs="+", default=["auto", "f32"], choices=["auto", "f32", "bf16"])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--batch", type=int, default=1, help="clips at once")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--clock", default="wall", choices=["wall", "cpu"])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found = {}
    for name in options.models:
        print(name, file=sys.stderr, flush=True)
        found[name] = measure(name, options)
    machine = peaks(options.clock)
    shares(found, machine)
    if options.json:
        print(json.dumps({"threads": options.threads, "clock": options.clock, "peaks": machine, "networks": found}))
    else:
        show(found, machine)


if __name__ == "__main__":
    main()
