"""Matrix products of Winograd convolutions: one for each of 36 or 6 points, summed over channels and time.

There are two implementations. `BatchedProducts` uses torch's batched matrix products, with a matrix per point.
`GroupedProducts` uses one convolution of oneDNN with a group of channels per point, which also sums over time. The first
reaches the processor's peak on Intel; on other processors its library uses only half of the registers' width. So the faster
one is measured once per process. GFLOPS of a thread on an AMD EPYC of the fifth generation, batched -> grouped: 64 channels on
16 frames 99 -> 194, 128 on 8 95 -> 208, 256 on 4 92 -> 180, over time alone 100 -> 240; with two threads r3d_18 158 -> 100 ms
per clip, r2plus1d_18 190 -> 131 ms.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from kinema.engines.winograd.packed_conv import HAS_ONEDNN

LANES = 16
"""Floats in a vector register, at most."""
_PAGE = 1024  # of float32
_CLEARLY = 1.25
_POINTS, _ROWS, _CHANNELS = 36, 128, 64


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a layer's output: `count` tiles from `first`, the same in each frame, and `outputs` channels from `channel`."""

    frames: int
    first: int
    count: int
    channel: int
    outputs: int

    @property
    def rows(self) -> int:
        """Rows of the block's matrices."""
        return self.frames * self.count


@dataclass(frozen=True, slots=True)
class Matrices:
    """Memory of one matrix per point; `step` floats lie between the starts of matrices, `row` between those of rows."""

    numbers: Tensor
    step: int
    row: int


class Products(Protocol):
    """Multiplies transformed inputs with transformed filters, which it keeps."""

    def allocate(self, block: Block) -> Matrices:
        """Memory for a block's inputs, a row per tile and frame; the thread reuses it for its next block."""

    def multiply(self, patches: Matrices, block: Block) -> Matrices:
        """Sums over channels and time for the block's output channels."""


class BatchedProducts:
    """A batched matrix product for each position of the filters in time.

    Args:
        filters: gives the transformed filters, [t points c d].
        size: t, points, c.
    """

    def __init__(self, filters: Callable[[], Float[Tensor, "t points c d"]], size: tuple[int, int, int]) -> None:
        self.filters, self.size = filters(), size

    def allocate(self, block: Block) -> Matrices:
        """See `Products`; the memory behind the inputs is for the sums."""
        _, points, inputs = self.size
        steps = _step(block.rows * inputs), _step(block.rows * block.outputs)
        return Matrices(_scratch.take(points * sum(steps)), steps[0], inputs)

    def multiply(self, patches: Matrices, block: Block) -> Matrices:
        """See `Products`."""
        (taps, points, inputs), rows, outputs = self.size, block.rows, block.outputs
        step, middle = _step(rows * outputs), taps // 2
        before = patches.numbers.as_strided((points, rows, inputs), (patches.step, inputs, 1))
        sums = patches.numbers.as_strided((points, rows, outputs), (step, outputs, 1), points * patches.step)
        filters = self.filters.narrow(-1, block.channel, outputs)
        torch.bmm(before, filters[middle], out=sums)
        for tap, of_tap in enumerate(filters):
            # A filter beside the middle sees frames earlier or later, which are rows `shift` apart.
            shift = abs(tap - middle) * block.count
            if 0 < shift < rows:
                early, late = slice(0, rows - shift), slice(shift, rows)
                here, there = (early, late) if tap > middle else (late, early)
                sums[:, here].baddbmm_(before[:, there], of_tap)
        return Matrices(sums, step, outputs)


class GroupedProducts:
    """One convolution of oneDNN over frames and tiles, with a group of channels for each point.

    Args:
        filters: gives the transformed filters, [t points c d]; called once per range of output channels.
        size: t, points, c.
    """

    def __init__(self, filters: Callable[[], Float[Tensor, "t points c d"]], size: tuple[int, int, int]) -> None:
        self.filters, (taps, self.points, self.inputs) = filters, size
        self._packed: dict[tuple[int, int], Tensor] = {}
        self._packing = threading.Lock()
        self._options = ([taps // 2, 0], [1, 1], [1, 1], self.points)

    def allocate(self, block: Block) -> Matrices:
        """See `Products`."""
        width = self.points * self.inputs
        return Matrices(_scratch.take(block.rows * width)[: block.rows * width], self.inputs, width)

    def multiply(self, patches: Matrices, block: Block) -> Matrices:
        """See `Products`; the result has its own memory."""
        x = patches.numbers.view(1, block.frames, block.count, patches.row).permute(0, 3, 1, 2)
        channels = (block.channel, block.outputs)
        with self._packing, torch.inference_mode(False), torch.no_grad():
            if channels not in self._packed:  # pack these filters in oneDNN's memory order
                filters = self.filters().narrow(-1, *channels).permute(1, 3, 2, 0).flatten(0, 1)[..., None].contiguous()
                pack: Any = torch._C._nn.mkldnn_reorder_conv2d_weight
                self._packed[channels] = pack(filters.to_mkldnn(), *self._options, x.shape)
        convolve: Any = torch.ops.mkldnn._convolution_pointwise
        out = convolve(x, self._packed[channels], None, *self._options, "none", [], "")
        return Matrices(out.permute(0, 2, 3, 1).contiguous(), block.outputs, self.points * block.outputs)


@functools.cache
def kind_of_products() -> type[BatchedProducts] | type[GroupedProducts]:
    """The faster implementation on this machine, measured once; without a clear winner always `BatchedProducts`."""
    if not HAS_ONEDNN:
        return BatchedProducts
    size, block = (1, _POINTS, _CHANNELS), Block(1, 0, _ROWS, 0, _CHANNELS)
    both = [kind(lambda: torch.zeros(*size, _CHANNELS), size) for kind in (BatchedProducts, GroupedProducts)]
    with torch.inference_mode():
        batched_s, grouped_s = (min(_seconds(products, block) for _ in range(6)) for products in both)
    return GroupedProducts if batched_s > _CLEARLY * grouped_s else BatchedProducts


def _seconds(products: Products, block: Block) -> float:
    """Time to multiply one block."""
    patches = products.allocate(block)
    patches.numbers.zero_()
    started = time.perf_counter()
    products.multiply(patches, block)
    return time.perf_counter() - started


def _step(size: int) -> int:
    """Floats from one matrix to the next: not a multiple of a page, or matrices would compete for the same cache lines."""
    return (size // _PAGE + 1) * _PAGE + LANES


class _Scratch(threading.local):
    """A thread's memory, reused between calls, because the first use of new pages is slow."""

    _memory: Tensor | None = None

    def take(self, size: int) -> Tensor:
        """At least that many floats of any value."""
        if self._memory is None or len(self._memory) < size:
            self._memory = torch.empty(size)
        return self._memory


_scratch = _Scratch()
