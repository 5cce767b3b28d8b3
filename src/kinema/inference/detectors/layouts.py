"""How published ONNX detectors take a frame and what their outputs mean: FastestDet, YOLOX, NanoDet.

A layout is recognised by the shapes of input and outputs, so that files of any size and number of classes can be used. Pixels are
in the order blue, green, red, as their publishers' programs read them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

STRIDES = (8, 16, 32)
_FILL = 114
"""The grey level beside a frame that does not fill the input of YOLOX."""

Shape = tuple[int, ...]
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Layout:
    """A family of detectors.

    Args:
        name: as its publisher spells it.
        outputs: its outputs in words.
        num_classes: the number of classes for the shapes of the outputs and the input's height and width; 0 if they do not fit.
        decode: boxes [n 4] in pixels of the input, and scores [n classes], for the outputs and the input's height and width.
        letterbox: the frame keeps its shape, and the rest of the input is grey; else it is stretched.
        antialias: whether all pixels of a frame count where it is made smaller (OpenCV's INTER_AREA), or its neighbours only.
        mean, std: of blue, green and red, subtracted from 0 to 255 and divided by.
        min_score: the lowest score of a box that can usually be trusted.
        most_iou: boxes that overlap a better one by more are left out.
    """

    name: str
    outputs: str
    num_classes: Callable[[Sequence[Shape], Size], int]
    decode: Callable[[Sequence[Array], Size], tuple[Array, Array]]
    letterbox: bool
    antialias: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    min_score: float
    most_iou: float

    def resized(self, frame: Size, size: Size) -> Size:
        """Height and width of a frame inside the input of that size.

        >>> LAYOUTS["YOLOX"].resized((432, 768), (416, 416)), LAYOUTS["FastestDet"].resized((432, 768), (352, 352))
        ((234, 416), (352, 352))
        """
        if not self.letterbox:
            return size
        ratio = min(size[0] / frame[0], size[1] / frame[1])
        return max(int(frame[0] * ratio), 1), max(int(frame[1] * ratio), 1)

    def scale(self, frame: Size, size: Size) -> NDArray[np.float64]:
        """Factors [4] from pixels of the input to pixels of the frame."""
        if not self.letterbox:
            return np.tile([frame[1] / size[1], frame[0] / size[0]], 2)
        return np.full(4, 1 / min(size[0] / frame[0], size[1] / frame[1]))

    def blob(self, frame: NDArray[np.uint8], size: Size) -> Array:
        """The input [1 3 h w] for a resized frame [h w 3] RGB."""
        pixels = (frame[:, :, ::-1].astype(np.float32) - np.array(self.mean, np.float32)) / np.array(
            self.std, np.float32
        )
        rows, columns = size[0] - frame.shape[0], size[1] - frame.shape[1]
        if rows or columns:
            pixels = np.pad(pixels, ((0, rows), (0, columns), (0, 0)), constant_values=_FILL)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


def _sigmoid(values: Array) -> Array:
    return (1 / (1 + np.exp(-values))).astype(np.float32)


def _grid(size: Size, stride: int) -> Array:
    """Column and row [n 2] of each cell, row by row."""
    rows, columns = np.mgrid[: size[0] // stride, : size[1] // stride]
    return np.stack([columns, rows], axis=2).reshape(-1, 2).astype(np.float32)


def _num_cells(size: Size) -> list[int]:
    return [(size[0] // stride) * (size[1] // stride) for stride in STRIDES]


def _fastestdet_classes(shapes: Sequence[Shape], size: Size) -> int:
    fits = len(shapes) == 1 and len(shapes[0]) == 4 and shapes[0][2:] == (size[0] // 16, size[1] // 16)
    return max(shapes[0][1] - 5, 0) if fits else 0


def _decode_fastestdet(outputs: Sequence[Array], size: Size) -> tuple[Array, Array]:
    rows, columns = outputs[0].shape[2:]
    cells = outputs[0][0].reshape(outputs[0].shape[1], -1).T
    centre = (_grid(size, 16) + np.tanh(cells[:, 1:3])) / [columns, rows]
    half = _sigmoid(cells[:, 3:5]) / 2
    boxes = np.concatenate([centre - half, centre + half], axis=1) * np.tile(size[::-1], 2)
    return boxes.astype(np.float32), cells[:, :1] ** 0.6 * cells[:, 5:] ** 0.4


def _yolox_classes(shapes: Sequence[Shape], size: Size) -> int:
    fits = len(shapes) == 1 and len(shapes[0]) == 3 and shapes[0][1] == sum(_num_cells(size))
    return max(shapes[0][2] - 5, 0) if fits else 0


def _decode_yolox(outputs: Sequence[Array], size: Size) -> tuple[Array, Array]:
    cells = outputs[0][0]
    grid = np.concatenate([_grid(size, stride) for stride in STRIDES])
    stride = np.repeat(np.array(STRIDES, np.float32), _num_cells(size))[:, None]
    centre, half = (cells[:, :2] + grid) * stride, np.exp(cells[:, 2:4]) * stride / 2
    return np.concatenate([centre - half, centre + half], axis=1), cells[:, 4:5] * cells[:, 5:]


def _nanodet_parts(shapes: Sequence[Shape], size: Size) -> list[int]:
    """Places of the outputs: scores of each stride, then distances of each stride; empty if they do not fit.

    Both have a row a cell. Distances have 4 x 8 columns; if that is also the number of classes, scores come first.
    """
    by_cells = [[place for place, shape in enumerate(shapes) if shape[1:2] == (count,)] for count in _num_cells(size)]
    if len(shapes) != 6 or any(len(places) != 2 for places in by_cells) or any(len(shape) != 3 for shape in shapes):
        return []
    ordered = [
        sorted(places, key=lambda place: shapes[place][2] == 32) for places in by_cells
    ]  # scores before distances
    widths = {tuple(shapes[place][2] for place in places) for places in ordered}
    if len(widths) != 1 or widths.pop()[1] != 32:
        return []
    return [places[0] for places in ordered] + [places[1] for places in ordered]


def _nanodet_classes(shapes: Sequence[Shape], size: Size) -> int:
    parts = _nanodet_parts(shapes, size)
    return shapes[parts[0]][2] if parts else 0


def _decode_nanodet(outputs: Sequence[Array], size: Size) -> tuple[Array, Array]:
    parts = _nanodet_parts([output.shape for output in outputs], size)
    boxes = []
    for stride, place in zip(STRIDES, parts[3:], strict=True):
        bins = outputs[place][0].reshape(-1, 4, 8)
        weights = np.exp(bins - bins.max(axis=2, keepdims=True))
        distances = weights @ np.arange(8, dtype=np.float32) / weights.sum(axis=2) * stride
        centre = _grid(size, stride) * stride + (stride - 1) / 2
        boxes.append(np.concatenate([centre - distances[:, :2], centre + distances[:, 2:]], axis=1))
    scores = np.concatenate([outputs[place][0] for place in parts[:3]])
    return np.concatenate(boxes).clip(0, np.tile(size[::-1], 2)).astype(np.float32), scores


LAYOUTS = {
    layout.name: layout
    for layout in (
        # https://github.com/dog-qiuqiu/FastestDet
        Layout(
            "FastestDet", "[1, 5 + classes, h / 16, w / 16]", _fastestdet_classes, _decode_fastestdet,
            letterbox=False, antialias=True, mean=(0, 0, 0), std=(255, 255, 255), min_score=0.5, most_iou=0.45,
        ),
        # https://github.com/Megvii-BaseDetection/YOLOX, Ge et al. 2021; exported without --decode_in_inference
        Layout(
            "YOLOX", "[1, cells of strides 8, 16, 32, 5 + classes]", _yolox_classes, _decode_yolox,
            letterbox=True, antialias=False, mean=(0, 0, 0), std=(1, 1, 1), min_score=0.3, most_iou=0.45,
        ),
        # https://github.com/RangiLyu/nanodet, NanoDet-m
        Layout(
            "NanoDet", "for strides 8, 16, 32: [1, cells, classes] and [1, cells, 32]", _nanodet_classes, _decode_nanodet,
            letterbox=False, antialias=True, mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395),
            min_score=0.4, most_iou=0.6,
        ),
    )
}  # fmt: skip
