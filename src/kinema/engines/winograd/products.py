"""The products of Winograd's convolutions: a matrix product for each of 36 or 6 points, summed over channels and time.

Two ways lead to them. Torch's batched matrix products keep the points apart. One convolution of oneDNN in as many groups as
there are points takes them side by side, and sums over time as well. On processors of Intel the first are as fast as the
processor is; on others their library leaves half of the registers' width unused. Therefore it is measured once which is the
quicker. A thread's GFLOPS on an AMD EPYC of the fifth generation: 64 channels on 16 frames 99 -> 194, 128 on 8 95 -> 208, 256
on 4 92 -> 180, over time alone 100 -> 240; r3d_18 158 -> 100 ms and r2plus1d_18 190 -> 131 ms a clip with two threads.
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

LANES = 16  # more than any processor's
_PAGE = 1024  # of float32
_CLEARLY = 1.25
_POINTS, _ROWS, _CHANNELS = 36, 128, 64


@dataclass(frozen=True, slots=True)
class Block:
    """What is computed at a time: tiles, the same ones of each frame, and output channels."""

    frames: int
    first: int
    count: int
    channel: int
    outputs: int

    @property
    def rows(self) -> int:
        """Of its matrices."""
        return self.frames * self.count


@dataclass(frozen=True, slots=True)
class Room:
    """Numbers of points, rows and channels, and how many lie from one point, and from one row, to the next."""

    numbers: Tensor
    step: int
    row: int


class Products(Protocol):
    """Multiplies patches with the filters that it keeps."""

    def room(self, block: Block) -> Room:
        """Memory for the patches of a block, a row for each tile of each frame; the thread's own until its next block."""

    def sums(self, patches: Room, block: Block) -> Room:
        """Sums over channels and time for the block's output channels."""


class BatchedProducts:
    """One matrix product for each point and each of the filters' steps of time.

    Args:
        filters: makes them, [t points c d].
        size: t, points, c.
    """

    def __init__(self, filters: Callable[[], Float[Tensor, "t points c d"]], size: tuple[int, int, int]) -> None:
        self.filters, self.size = filters(), size

    def room(self, block: Block) -> Room:
        """As `Products`; behind the patches there is room for the sums."""
        _, points, inputs = self.size
        steps = _step(block.rows * inputs), _step(block.rows * block.outputs)
        return Room(_scratch.take(points * sum(steps)), steps[0], inputs)

    def sums(self, patches: Room, block: Block) -> Room:
        """As `Products`."""
        (taps, points, inputs), rows, outputs = self.size, block.rows, block.outputs
        step, middle = _step(rows * outputs), taps // 2
        before = patches.numbers.as_strided((points, rows, inputs), (patches.step, inputs, 1))
        sums = patches.numbers.as_strided((points, rows, outputs), (step, outputs, 1), points * patches.step)
        filters = self.filters.narrow(-1, block.channel, outputs)
        torch.bmm(before, filters[middle], out=sums)
        for tap, of_tap in enumerate(filters):
            shift = abs(tap - middle) * block.count
            if 0 < shift < rows:
                early, late = slice(0, rows - shift), slice(shift, rows)
                here, there = (early, late) if tap > middle else (late, early)
                sums[:, here].baddbmm_(before[:, there], of_tap)
        return Room(sums, step, outputs)


class GroupedProducts:
    """One convolution over frames and tiles, with a group of channels for each point; oneDNN's.

    Args:
        filters: makes them, [t points c d]; called once for each part of the output channels that blocks have.
        size: t, points, c.
    """

    def __init__(self, filters: Callable[[], Float[Tensor, "t points c d"]], size: tuple[int, int, int]) -> None:
        self.filters, (taps, self.points, self.inputs) = filters, size
        self._packed: dict[tuple[int, int], Tensor] = {}
        self._packing = threading.Lock()
        self._how = ([taps // 2, 0], [1, 1], [1, 1], self.points)

    def room(self, block: Block) -> Room:
        """As `Products`."""
        width = self.points * self.inputs
        return Room(_scratch.take(block.rows * width)[: block.rows * width], self.inputs, width)

    def sums(self, patches: Room, block: Block) -> Room:
        """As `Products`; in memory of its own."""
        x = patches.numbers.view(1, block.frames, block.count, patches.row).permute(0, 3, 1, 2)
        convolve: Any = torch.ops.mkldnn._convolution_pointwise
        out = convolve(x, self._filters(x, block), None, *self._how, "none", [], "")
        return Room(out.permute(0, 2, 3, 1).contiguous(), block.outputs, self.points * block.outputs)

    def _filters(self, x: Tensor, block: Block) -> Tensor:
        """Those of the block's output channels, in oneDNN's order."""
        part = (block.channel, block.outputs)
        with self._packing, torch.inference_mode(False), torch.no_grad():
            if part not in self._packed:
                filters = self.filters().narrow(-1, *part).permute(1, 3, 2, 0).flatten(0, 1)[..., None].contiguous()
                pack: Any = torch._C._nn.mkldnn_reorder_conv2d_weight
                self._packed[part] = pack(filters.to_mkldnn(), *self._how, x.shape)
        return self._packed[part]


@functools.cache
def kind_of_products() -> type[BatchedProducts] | type[GroupedProducts]:
    """The quicker one on this machine, measured once; the batched ones if it is a matter of chance, so that it stays the same."""
    if not HAS_ONEDNN:
        return BatchedProducts
    size, block = (1, _POINTS, _CHANNELS), Block(1, 0, _ROWS, 0, _CHANNELS)
    both = [kind(lambda: torch.zeros(*size, _CHANNELS), size) for kind in (BatchedProducts, GroupedProducts)]
    with torch.inference_mode():
        batched_s, grouped_s = (min(_seconds(products, block) for _ in range(6)) for products in both)
    return GroupedProducts if batched_s > _CLEARLY * grouped_s else BatchedProducts


def _seconds(products: Products, block: Block) -> float:
    patches = products.room(block)
    patches.numbers.zero_()
    started = time.perf_counter()
    products.sums(patches, block)
    return time.perf_counter() - started


def _step(size: int) -> int:
    """Numbers from one of the matrices to the next; a multiple of a page would let them share lines of the cache."""
    return (size // _PAGE + 1) * _PAGE + LANES


class _Scratch(threading.local):
    """A thread's memory, kept from call to call, because fresh pages take long."""

    _memory: Tensor | None = None

    def take(self, size: int) -> Tensor:
        """At least that many numbers, of any value."""
        if self._memory is None or len(self._memory) < size:
            self._memory = torch.empty(size)
        return self._memory


_scratch = _Scratch()
