"""Features of a frozen network on disk: computed once, read in every epoch.

A .npy file for each view of an example, [v n f], in float16 if the values fit, else in float32. Its name depends on the video
(path, `file_state`, span) and the view; its folder depends on the network. Several processes may fill one folder: each file is
written under a temporary name and renamed when it is complete, and the last rename wins with equal content. The folder can be
deleted at any time.
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinema.datasets.cache import file_state
from kinema.files import whole_file
from kinema.types import Example

Features = NDArray[np.float16] | NDArray[np.float32]

_log = logging.getLogger("kinema")


class FeatureCache:
    """Features of views of examples.

    Args:
        folder: folder of the files; several networks may share it.
        network: fingerprint of the network and its precision.
    """

    def __init__(self, folder: str | os.PathLike[str], network: str) -> None:
        self.folder = Path(folder) / hashlib.sha256(network.encode()).hexdigest()[:16]

    def place(self, example: Example, view: str) -> Path:
        """The file of a view's features, whether it exists or not; another one if the video has changed.

        `view` describes everything besides the example that the pixels depend on.

        Raises:
            UnreadableVideo: there is no such file.
        """
        identity = (os.path.abspath(example.path), *file_state(example.path), example.span, view)
        key = hashlib.sha256(repr(identity).encode()).hexdigest()[:32]
        return self.folder / key[:2] / f"{key}.npy"


def is_kept(path: Path) -> bool:
    """Whether the features exist; damaged ones are reported and count as missing."""
    if not path.exists():
        return False
    try:
        read_features(path)
    except (OSError, ValueError, EOFError) as error:
        _log.warning("%s: damaged, computed again (%s)", path, error)
        return False
    return True


def read_features(path: Path) -> Features:
    """Features [v n f], memory-mapped.

    Raises:
        OSError, ValueError, EOFError: missing or damaged.
    """
    features = np.load(path, mmap_mode="r")
    if features.dtype not in (np.float16, np.float32) or features.ndim != 3 or not features.size:
        raise ValueError(f"{features.shape=} {features.dtype=} are not the shape and type of features")
    return features


def write_features(path: Path, features: NDArray[np.float32]) -> None:
    """Write features [v n f], completely or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    with np.errstate(over="ignore"):
        halved = features.astype(np.float16)
    fits = bool(np.isfinite(halved).all())
    with whole_file(path) as temporary:
        np.save(temporary, halved if fits else features)
