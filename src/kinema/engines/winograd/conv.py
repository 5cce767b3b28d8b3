"""Winograd convolutions: layers with filters of 3 x 3 over space, or of 3 over time alone.

The output of a layer is cut into blocks that fit into a core's cache; each is computed by one thread (`threads`): its inputs
are transformed, multiplied with the filters and summed over channels, and the sums are transformed back.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable, Iterator
from math import ceil, prod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kinema.engines.winograd.native import load_native
from kinema.engines.winograd.packed_conv import PackedConv, is_plain
from kinema.engines.winograd.products import LANES, Block, Products, kind_of_products
from kinema.engines.winograd.threads import share_out

_TILE = 4
_LEAST_CHANNELS = 32
_LEAST_OUTPUTS = 512
_LEAST_PRODUCTS = 20_000_000
_LEAST_ROWS, _MOST_ROWS = 128, 256
_LEAST_TIME_CHANNELS = 64
_LEAST_TIME_OUTPUTS = 256
_LEAST_TIME_PRODUCTS = 75_000_000
_TIME_ROWS = 512
_FILTER_TRANSFORM = ((6, 0, 0), (-4, -4, -4), (-4, 4, -4), (1, 2, 4), (1, -2, 4), (0, 0, 24))  # times 24
_transforming = threading.Lock()


class WinogradConv(PackedConv):
    """A convolution with filters of 3 x 3 over space, for inference.

    It computes like `PackedConv` if gradients are needed, in other precisions than float32, on other devices than CPUs, and
    for small inputs. The first large input makes transformed filters, four times as large as the weights; the weights must
    not be changed from then on.

    Args:
        conv: a convolution that `suits`; its weights are shared.
        relu: whether a ReLU follows.

    Raises:
        OutputError: the transforms cannot be compiled here.
    """

    filters: Products | None
    zeros: Tensor
    _axes, _points = 2, 36

    def __init__(self, conv: nn.Conv2d | nn.Conv3d, relu: bool = False) -> None:
        transforms()
        super().__init__(conv, relu)
        self.register_buffer("zeros", torch.zeros(max(conv.weight.shape[:2])), persistent=False)
        self.filters = None

    @classmethod
    def suits(cls, conv: nn.Conv2d | nn.Conv3d) -> bool:
        """Whether a convolution keeps the size of frames, has stride 1, and has enough channels to be faster this way."""
        *time, height, width = conv.kernel_size
        return (height, width) == (3, 3) and all(length % 2 for length in time) and _keeps_size(conv)

    def forward(self, x: Float[Tensor, "b c *t h w"]) -> Float[Tensor, "b d *t h w"]:
        """As `nn.Conv2d` or `nn.Conv3d`; the output is channels-last."""
        if not (self._can_take(x) and self._is_enough(x)):
            return super().forward(x)
        last = x.movedim(1, -1).contiguous()
        # Filters that see one frame take each frame as a clip of its own.
        sees_time = self._axes == 1 or self.weight[0, 0].numel() > 9
        clips, filters = last if sees_time else last.view(-1, 1, *last.shape[-3:]), self._transformed()
        out = torch.empty(*clips.shape[:-1], len(self.weight))
        share_out(functools.partial(self._compute, clips, filters, out), self._blocks(clips))
        return out.view(*last.shape[:-1], -1).movedim(-1, 1)

    def _is_enough(self, x: Tensor) -> bool:
        """Whether the outputs are many, fill at least half of their tiles, and take longer than starting the threads.

        With 512 channels, 2 frames of 7 x 7 take 13 ms, all of it for reading filters, and 4.8 ms as `PackedConv`. 4 frames of
        14 x 14 take 31 ms, and 43 ms in torch; with 32 channels 0.6 and 0.7 ms, of which the threads take 0.3 ms.
        """
        num_frames = x.shape[0] * prod(x.shape[2:-2])
        num_outputs, num_tiles = num_frames * prod(x.shape[-2:]), num_frames * _tiles(*x.shape[-2:])
        return (
            num_outputs >= max(_LEAST_OUTPUTS, _TILE * _TILE * num_tiles / 2)
            and num_outputs * self.weight.numel() >= _LEAST_PRODUCTS
        )

    def _transformed(self) -> Products:
        """The transformed filters, made at the first call."""
        with _transforming, torch.inference_mode(False), torch.no_grad():
            if self.filters is None:
                size = (self.weight[0, 0].numel() // 3**self._axes, self._points, self.weight.shape[1])
                self.filters = kind_of_products()(functools.partial(transformed, self.weight, self._axes), size)
        return self.filters

    def _blocks(self, clips: Tensor) -> Iterator[Block]:
        """Blocks of the output of clips [b t h w c]: tiles, the same in each frame."""
        num_clips, frames, height, width, inputs = clips.shape
        return _blocks(num_clips * _tiles(height, width), frames, inputs, len(self.weight))

    def _compute(self, clips: Tensor, filters: Products, out: Tensor, block: Block) -> None:
        """Compute a block of the output [b t h w d] of clips [b t h w c]."""
        sizes, tiles, pitches = clips.shape[1:4], (block.first, block.count), (clips.shape[-1], out.shape[-1])
        bias = self.zeros if self.bias is None else self.bias.contiguous()
        data, inverse = transforms()[self._axes]
        patches = filters.allocate(block)
        shape = _Shape(*sizes, pitches[0], pitches[0], *tiles, patches.step, patches.row)
        data(shape, clips.data_ptr(), self.zeros.data_ptr(), patches.numbers.data_ptr())
        sums = filters.multiply(patches, block)
        shape = _Shape(*sizes, block.outputs, pitches[1], *tiles, sums.step, sums.row)
        bias, out = bias[block.channel :], out[..., block.channel :]
        inverse(shape, sums.numbers.data_ptr(), bias.data_ptr(), self.relu, out.data_ptr())

    def __getstate__(self) -> dict[str, object]:
        """State for a copy, without the transformed filters, which cannot be copied."""
        return super().__getstate__() | {"filters": None}


class WinogradTimeConv(WinogradConv):
    """A `WinogradConv` with filters of 3 over time alone; transformed filters are twice as large as the weights."""

    _axes, _points = 1, 6

    @classmethod
    def suits(cls, conv: nn.Conv2d | nn.Conv3d) -> bool:
        """Whether a convolution keeps the size of clips and has enough channels: 64 to 128 gains, 64 to 64 hardly."""
        channels = (conv.in_channels, conv.out_channels)
        return (
            conv.kernel_size == (3, 1, 1)
            and _keeps_size(conv)
            and min(channels) >= _LEAST_TIME_CHANNELS
            and prod(channels) >= 2 * _LEAST_TIME_CHANNELS**2
        )

    def _is_enough(self, x: Tensor) -> bool:
        """Whether the outputs are many, and torch needs at least 1.5 times as many multiplications.

        Torch skips products with the padding before and after the clip. So 4, 7, 8 and 10 frames are enough, and 3, 5, 6 and 9
        are not: with 256 channels, 4 frames of 14 x 14 take 2.4 ms in torch and 1.9 here, but 6 take 3.9 and 3.6 (one thread).
        """
        frames, num_outputs = x.shape[2], x.shape[0] * prod(x.shape[2:])
        return (
            3 * frames - 2 >= 1.5 * self._points * ceil(frames / _TILE)
            and num_outputs >= _LEAST_TIME_OUTPUTS
            and num_outputs * self.weight.numel() >= _LEAST_TIME_PRODUCTS
        )

    def _blocks(self, clips: Tensor) -> Iterator[Block]:
        """Blocks of the output of clips [b t h w c]: pixels of four frames."""
        num_clips, frames, height, width, _ = clips.shape
        tiles, threads = num_clips * ceil(frames / _TILE) * height * width, torch.get_num_threads()
        count = ceil(tiles / threads / ceil(tiles / threads / _TIME_ROWS))
        for first in range(0, tiles, count):
            yield Block(1, first, min(count, tiles - first), 0, len(self.weight))


def transformed(weight: Float[Tensor, "d c *size"], axes: int) -> Float[Tensor, "t points c d"]:
    """Transform filters over space (2 `axes`) or time (1); computed in float64, returned in float32.

    Filters have length 3 over each transformed axis; these axes come last, except for axes of length 1.
    """
    outputs, inputs = weight.shape[:2]
    matrix = side = torch.tensor(_FILTER_TRANSFORM, dtype=torch.float64) / 24
    if axes == 2:
        matrix = torch.kron(side, side)
    taps = weight.detach().reshape(outputs, inputs, -1, matrix.shape[1])
    filters = torch.empty(taps.shape[2], len(matrix), inputs, outputs)
    for tap, of_tap in enumerate(filters):
        of_tap.copy_(torch.einsum("pq,dcq->pcd", matrix, taps[:, :, tap].double()))
    return filters


def _keeps_size(conv: nn.Conv2d | nn.Conv3d) -> bool:
    return (
        is_plain(conv)
        and conv.padding == tuple(length // 2 for length in conv.kernel_size)
        and {*conv.stride, *conv.dilation, conv.groups} == {1}
        and min(conv.in_channels, conv.out_channels) >= _LEAST_CHANNELS
    )


def _blocks(tiles: int, frames: int, inputs: int, outputs: int) -> Iterator[Block]:
    """Cut the tiles of each frame into blocks for torch's threads.

    With more filters to read, blocks have more rows, which share the filters. If there are too few rows for all threads, each
    thread computes a range of the output channels instead, and reads only its filters.
    """
    threads = torch.get_num_threads()
    num_blocks = ceil(tiles * frames / min(max(inputs, _LEAST_ROWS), _MOST_ROWS))
    group = outputs
    if tiles * frames >= threads * _LEAST_ROWS:
        num_blocks = ceil(num_blocks / threads) * threads
    else:
        group = max(ceil(outputs / threads / LANES) * LANES, _LEAST_CHANNELS)
    count = ceil(tiles / num_blocks)
    starts = range(0, outputs - LANES + 1, group)
    for channel, end in zip(starts, [*starts[1:], outputs], strict=True):
        for first in range(0, tiles, count):
            yield Block(frames, first, min(count, tiles - first), channel, end - channel)


def _tiles(height: int, width: int) -> int:
    """Number of tiles that cover a frame."""
    return ceil(height / _TILE) * ceil(width / _TILE)


class _Shape(ctypes.Structure):
    """`Block` of winograd.c."""

    _fields_ = [
        (name, ctypes.c_int64)
        for name in ("frames", "height", "width", "channels", "pitch", "first", "count", "step", "row")
    ]


_Transform = Callable[..., None]


@functools.cache
def transforms() -> dict[int, tuple[_Transform, _Transform]]:
    """Functions that transform inputs, and sums back, by the number of transformed axes.

    Raises:
        OutputError: the C code cannot be compiled here.
    """
    library = load_native("winograd.c")
    shape, pointer = ctypes.POINTER(_Shape), ctypes.c_void_p
    found = {
        1: (library.winograd_time_data, library.winograd_time_inverse),
        2: (library.winograd_data, library.winograd_inverse),
    }
    for data, inverse in found.values():
        data.argtypes = (shape, pointer, pointer, pointer)
        inverse.argtypes = (shape, pointer, pointer, ctypes.c_int, pointer)
        data.restype = inverse.restype = None
    return dict(found)
