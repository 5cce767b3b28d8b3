"""Detection networks of torchvision by name, with its published weights for COCO or a file of weights."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from kinema.errors import CheckpointError, DownloadError
from kinema.inference.detectors.contract import Detector, Found
from kinema.models.device import resolve_device
from kinema.weights.download import Progress, Remote, fetch

if TYPE_CHECKING:
    from numpy.typing import NDArray


@cache
def torchvision_names() -> tuple[str, ...]:
    """Names of the networks that give boxes."""
    from torchvision.models import detection, list_models

    return tuple(sorted(list_models(module=detection)))


class TorchvisionDetector(Detector):
    """A detection network of torchvision.

    Args:
        name: one of `torchvision_names()`.
        weights: a file with its state dict; None downloads torchvision's weights to torch's own folder, once.
        device: "auto", "cpu", "cuda" …
        progress: called during the download.

    Raises:
        CheckpointError: the file is missing, damaged or for another network.
        DownloadError: the weights cannot be downloaded.
    """

    min_score = 0.5

    def __init__(
        self, name: str, weights: str | None = None, device: str = "auto",
        progress: Progress = lambda done, total: None,
    ) -> None:  # fmt: skip
        from torchvision.models import get_model, get_model_weights

        published = get_model_weights(name).DEFAULT
        self.name, self.kinds = name, tuple(published.meta["categories"])
        path = Path(weights) if weights else _download(published.url, progress)
        network = get_model(name, weights=None, weights_backbone=None, num_classes=len(self.kinds))
        try:
            network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        except FileNotFoundError as error:
            raise CheckpointError("no such file", path, "give --weights a state dict of torch") from error
        except Exception as error:  # torch has many errors for damaged files
            reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
            do = f"give a state dict of torchvision's {name}"
            raise CheckpointError(f"not weights of this network ({reason})", path, do) from error
        self._device = resolve_device(device)
        self._network = network.eval().to(self._device)

    def __call__(self, frames: NDArray[np.uint8]) -> list[Found]:
        """Boxes of each frame; the network resizes frames itself."""
        clips = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).to(self._device)
        with torch.inference_mode():
            outputs = self._network(list(clips.float() / 255))
        found = []
        for output in outputs:
            boxes, scores, classes = (output[key].cpu().numpy() for key in ("boxes", "scores", "labels"))
            found.append(Found(boxes.astype(np.float64), scores.astype(np.float64), classes.astype(np.int64)))
        return found


def _download(url: str, progress: Progress) -> Path:
    """The file in the folder where torchvision looks for it; its name ends with the first digits of its checksum."""
    name = url.rpartition("/")[2]
    checksum = name.rpartition("-")[2].removesuffix(".pth") if "-" in name else ""
    try:
        return fetch(Remote(url, checksum), Path(torch.hub.get_dir()) / "checkpoints" / name, progress)
    except DownloadError as error:
        do = f"{error.do}; or give --detector an ONNX file of FastestDet, YOLOX or NanoDet"
        raise DownloadError(error.what, error.where, do) from error
