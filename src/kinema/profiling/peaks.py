"""What a machine reaches at best: matrix products and copies, measured with torch.

A network is nothing but matrix products at its core, so that its multiply-adds a second by those of a large product say
which share of the machine it uses. The fastest of several repetitions counts: a peak is what can be reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from kinema.models.device import DTYPES, resolve_device
from kinema.timing import times_s

_LONGEST_S = 0.01
_SIDES = (512, 1024, 2048, 4096, 8192)
_COPIED = 1 << 26
_COPIED_ON_A_CPU = 1 << 24


def matrix_gflops(device: str, precision: str, seconds: float) -> float:
    """Billion multiplications and additions a second in a product of square matrices.

    The best of several sizes, up to that whose product lasts a hundredth of a second: small matrices stay in a CPU's cache,
    large ones keep a GPU busy. On a GPU float32 is computed as cuDNN computes convolutions there, in TF32.

    Args:
        device: see `resolve_device`.
        precision: f32, bf16 or fp16.
        seconds: how long to measure each size.
    """
    place, best = resolve_device(device), 0.0
    with torch.inference_mode(), _as_in_convolutions(place):
        for side in _SIDES:
            taken = min(times_s(_product(place, precision, side), seconds))
            best = max(best, 2 * side**3 / taken / 1e9)
            if taken >= _LONGEST_S:
                break
    return best


def memory_gb_s(device: str, seconds: float) -> float:
    """Billion bytes a second that are read and written while a large block is copied."""
    place = resolve_device(device)
    count = _COPIED_ON_A_CPU if place.type == "cpu" else _COPIED
    source, target = torch.ones(count, device=place), torch.empty(count, device=place)

    def copy() -> None:
        target.copy_(source)
        wait_for(place)

    return 2 * source.nbytes / min(times_s(copy, seconds)) / 1e9


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _product(device: torch.device, precision: str, side: int) -> Callable[[], None]:
    dtype = DTYPES.get(precision, torch.float32)
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.empty(side, side, device=device, dtype=dtype)

    def multiply() -> None:
        torch.mm(left, right, out=out)
        wait_for(device)

    return multiply


@contextmanager
def _as_in_convolutions(device: torch.device) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
