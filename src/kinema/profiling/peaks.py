"""Measure the peaks of a machine with torch: matrix products and copies.

Most of a network's work is matrix products. So its multiply-adds per second, divided by those of a large product, give the
share of the machine that it uses. The fastest of several repetitions counts, because a peak is what can be reached.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from kinema.models.device import DTYPES, resolve_device
from kinema.timing import times_s

_LONGEST_S = 0.01
_SIDES = (512, 1024, 2048, 4096, 8192)
_COPIED = 1 << 26
_COPIED_ON_A_CPU = 1 << 24


def matrix_gflops(device: str, precision: str, seconds: float) -> float:
    """Billion multiplications and additions per second in a product of square matrices.

    The best of several sizes, up to the first whose product takes 10 ms: small matrices fit into a CPU's cache, large ones
    keep a GPU busy. On a GPU, float32 is computed in TF32, as in cuDNN's convolutions.

    Args:
        device: see `resolve_device`.
        precision: f32, bf16 or fp16.
        seconds: time for each size.
    """
    place, best = resolve_device(device), 0.0
    before = torch.get_float32_matmul_precision()
    if place.type == "cuda":
        torch.set_float32_matmul_precision("high")
    try:
        with torch.inference_mode():
            for side in _SIDES:
                taken_s = min(times_s(_product(place, precision, side), seconds))
                best = max(best, 2 * side**3 / taken_s / 1e9)
                if taken_s >= _LONGEST_S:
                    break
    finally:
        torch.set_float32_matmul_precision(before)
    return best


def _product(device: torch.device, precision: str, side: int) -> Callable[[], None]:
    """A function that multiplies two matrices."""
    dtype = DTYPES.get(precision, torch.float32)
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.empty(side, side, device=device, dtype=dtype)

    def multiply() -> None:
        torch.mm(left, right, out=out)
        wait_for(device)

    return multiply


def memory_gb_s(device: str, seconds: float) -> float:
    """Billion bytes per second that are read and written while a large block is copied."""
    place = resolve_device(device)
    count = _COPIED_ON_A_CPU if place.type == "cpu" else _COPIED
    source, target = torch.ones(count, device=place), torch.empty(count, device=place)

    def copy() -> None:
        target.copy_(source)
        wait_for(place)

    return 2 * source.nbytes / min(times_s(copy, seconds)) / 1e9


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
