"""Open what `--detector` names: a network of torchvision, an ONNX file, or a file of boxes."""

from __future__ import annotations

import os
from pathlib import Path

from kinema.errors import UnknownName, UsageError
from kinema.inference.detectors.boxes_file import ENDINGS, KeptBoxes, read_boxes
from kinema.inference.detectors.contract import Detector
from kinema.inference.detectors.onnx_file import OnnxDetector
from kinema.weights.download import Progress

DEFAULT = "fasterrcnn_mobilenet_v3_large_320_fpn"
"""The fastest network of torchvision that finds small persons too: 78 MB, licence BSD-3-Clause, 22.8 box AP on COCO."""


def open_detector(
    name: str = DEFAULT,
    weights: str | None = None,
    device: str = "auto",
    progress: Progress = lambda done, total: None,
) -> Detector | KeptBoxes:
    """Open a detector.

    Args:
        name: a network of torchvision, an .onnx file of FastestDet, YOLOX or NanoDet, or a file of boxes (.csv, .txt, .json).
        weights: for a network of torchvision, a file with its state dict in place of the published weights.
        device: of a network of torchvision; ONNX files run on the CPU.
        progress: called during a download.

    Raises:
        UnknownName: there is no such network.
        UsageError: options that do not go together.
        CheckpointError: a file of weights or an ONNX file is missing, damaged, or for something else.
        DownloadError: published weights cannot be downloaded.
        DataError: a file of boxes is damaged.
    """
    ending = Path(name).suffix.lower()
    if ending in (".onnx", *ENDINGS):
        if weights:
            raise UsageError("a file needs no weights", f"--weights {weights}", "leave it out")
        return OnnxDetector(name) if ending == ".onnx" else read_boxes(name)
    from kinema.inference.detectors.torchvision_models import TorchvisionDetector, torchvision_names

    if name not in torchvision_names():
        if ending in (".pt", ".pth") or os.sep in name:
            do = (
                f"give --detector NAME --weights {name}"
                if ending
                else "its name has to end in .onnx, .csv, .txt or .json"
            )
            raise UsageError("a file of this kind is no detector", name, do)
        raise UnknownName("detector", name, torchvision_names())
    return TorchvisionDetector(name, weights, device, progress)
