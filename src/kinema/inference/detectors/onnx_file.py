"""An ONNX file of a known layout as a detector.

Published files take one frame at a time. So the frames of a batch are computed side by side, one on each core.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from kinema.boxes import best_boxes
from kinema.engines.onnx_graph import open_onnx
from kinema.errors import CheckpointError
from kinema.inference.detectors.contract import COCO, PERSON, Detector, Found
from kinema.inference.detectors.layouts import LAYOUTS, Layout, Shape, Size

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEAST, _MOST = 0.1, 1000
"""Boxes with a lower score, and all but the best so many, are dropped before the others are compared with each other."""


class OnnxDetector(Detector):
    """An ONNX file as a detector.

    Args:
        path: the file.

    Raises:
        CheckpointError: it is missing, damaged, or of an unknown layout.
        MissingExtra: neither OpenVINO nor ONNX Runtime is installed.
    """

    def __init__(self, path: str) -> None:
        self.name = path
        if not os.path.isfile(path):
            raise CheckpointError("no such file", path, "give an ONNX file of FastestDet, YOLOX or NanoDet")
        graph = open_onnx(path)
        self._run = graph.run
        self._layout, self._size, num_classes = _recognise(graph.inputs, graph.outputs, path)
        self.min_score = self._layout.min_score
        self.kinds = _kinds(num_classes)

    def __call__(self, frames: NDArray[np.uint8]) -> list[Found]:
        """Boxes of each frame after non-maximum suppression within each class."""
        shape = frames.shape[1:3]
        return [self._found(outputs, shape) for outputs in self._run(map(self._blob, frames))]

    def _blob(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        resized = _resize(frame, self._layout.resized(frame.shape[:2], self._size), self._layout.antialias)
        return self._layout.blob(resized, self._size)

    def _found(self, outputs: Sequence[NDArray[np.float32]], shape: Size) -> Found:
        layout, size = self._layout, self._size
        boxes, scores = layout.decode(outputs, size)
        cells, classes = np.nonzero(scores >= _LEAST)
        best = scores[cells, classes].astype(np.float64)
        scaled = (boxes[cells] * layout.scale(shape, size)).clip(0, np.tile(shape[::-1], 2))
        real = (scaled[:, 2:] > scaled[:, :2]).all(axis=1)
        rows = np.flatnonzero(real)[np.argsort(-best[real], kind="stable")[:_MOST]]
        scaled, best, classes = scaled[rows], best[rows], classes[rows]
        # Boxes of different classes are moved apart, so that none suppresses another.
        kept = best_boxes(scaled + (classes * (max(shape) + 1.0))[:, None], best, layout.most_iou)
        return Found(scaled[kept], best[kept], classes[kept])


def _resize(frame: NDArray[np.uint8], size: Size, antialias: bool) -> NDArray[np.uint8]:
    """The frame in another size, as OpenCV's INTER_LINEAR or, with `antialias`, about as its INTER_AREA."""
    if frame.shape[:2] == size:
        return frame
    pixels = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None]
    return functional.interpolate(pixels, size, mode="bilinear", antialias=antialias)[0].permute(1, 2, 0).numpy()


def _kinds(num_classes: int) -> tuple[str, ...]:
    """Names of the classes: COCO's, or a person alone; others have no known names."""
    if num_classes == 1:
        return (PERSON,)
    return COCO if num_classes == len(COCO) else tuple(f"class {number}" for number in range(num_classes))


def _recognise(inputs: Sequence[Shape], outputs: Sequence[Shape], path: str) -> tuple[Layout, Size, int]:
    """The layout of a file, the height and width of its input, and its number of classes."""
    if len(inputs) == 1 and inputs[0][:2] == (1, 3) and len(inputs[0]) == 4:
        size = inputs[0][2:]
        for layout in LAYOUTS.values():
            if num_classes := layout.num_classes(outputs, (size[0], size[1])):
                return layout, (size[0], size[1]), num_classes
    found = f"input {' '.join(map(_shown, inputs))}, outputs {' '.join(map(_shown, outputs))}"
    known = "; ".join(f"{layout.name} {layout.outputs}" for layout in LAYOUTS.values())
    raise CheckpointError(f"no known detector has {found}", path, f"known for an input [1, 3, h, w]: {known}")


def _shown(shape: Shape) -> str:
    return f"[{', '.join('?' if side < 0 else str(side) for side in shape)}]"
