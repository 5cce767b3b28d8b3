"""Features of videos in files, so that hours of video need no memory, and a run that was killed continues where it stopped.

Two files for each video: `….npy` with the features [n f] in float32, and `….json` with the times of its clips and with what
the features depend on. Each file is complete or missing, and the features are written last. Names depend on the network's
weights and input, the distance of the clips, the number format, and the state of the video: features of another network are
never found by accident, and a folder can serve several networks. It can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from kinema.datasets.cache import file_state
from kinema.errors import CheckpointError, KinemaError
from kinema.files import check_folder, whole_file, write_json
from kinema.predictions import Failure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kinema.inference.features import VideoFeatures
    from kinema.models.network import Network

log = logging.getLogger("kinema")

Extract = Callable[[Sequence[str]], "Iterator[VideoFeatures | Failure]"]
"""Computes the features of videos, in their order."""


@dataclass(frozen=True, slots=True, eq=False)
class KeptFeatures:
    """Features of a video [n f], memory-mapped, start and end of each clip in seconds [n 2], and what could not be read."""

    path: str
    rows: NDArray[np.float32]
    spans_s: NDArray[np.float64]
    damage: str


def kept_features(
    extract: Extract, paths: Sequence[str], identity: str, dim: int, folder: str | None = None
) -> Iterator[KeptFeatures | Failure]:
    """Features of videos in their order, from the folder if they are there, else computed and then kept.

    Args:
        extract: computes features.
        paths: videos.
        identity: everything besides the video that the features depend on.
        dim: length of a vector.
        folder: is made if it is missing; None keeps nothing longer than the video needs.

    Raises:
        OutputError: the folder cannot be written.
        CheckpointError: a file in it holds the features of another network.
    """
    with ExitStack() as stack:
        if folder is None:
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kinema-")))
        else:
            check_folder(folder)
            place = Path(folder)
        files = [_file(place, path, number, identity, folder is None) for number, path in enumerate(paths)]
        found = [folder is not None and file.exists() for file in files]
        fresh = extract([path for path, there in zip(paths, found, strict=True) if not there])
        for path, file, there in zip(paths, files, found, strict=True):
            if not there:
                outcome = next(fresh)
                if isinstance(outcome, Failure):
                    yield outcome
                    continue
                _write(outcome, file, identity)
            yield _read(path, file, identity, dim)
            if folder is None:
                file.unlink()


def network_identity(network: Network) -> str:
    """Name and SHA-256 of all that the features of a clip depend on: layers, weights and input."""
    about = [network.variant, dict(network.arguments), network.spec.to_json()]
    digest = hashlib.sha256(json.dumps(about, default=str).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return f"{network.variant} {digest.hexdigest()}"


def _file(folder: Path, path: str, number: int, identity: str, temporary: bool) -> Path:
    """The file of a video's features; a video that cannot be found gets a name that no file has."""
    try:
        state = str(number) if temporary else repr((str(Path(path).resolve()), *file_state(path)))
    except KinemaError:
        state = f"missing {number}"
    key = hashlib.sha256(f"{identity} {state}".encode()).hexdigest()[:32]
    return folder / key[:2] / f"{key}.npy"


def _write(features: VideoFeatures, file: Path, identity: str) -> None:
    """Write times and features; rows come in pieces, and are not written through memory, where a full disk is no error."""
    about = {
        "identity": identity, "video": features.path, "damage": features.damage, "spans_s": features.spans_s.tolist(),
    }  # fmt: skip
    write_json(file.with_suffix(".json"), about)
    with whole_file(file) as temporary, temporary.open("wb") as target:
        header = {"descr": "<f4", "fortran_order": False, "shape": (len(features), features.dim)}
        np.lib.format.write_array_header_1_0(target, header)
        for _, rows in features.chunks():
            target.write(np.ascontiguousarray(rows, "<f4").tobytes())


def _read(path: str, file: Path, identity: str, dim: int) -> KeptFeatures:
    do = "delete it, so that it is computed again"
    try:
        about = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
        rows = np.load(file, mmap_mode="r")
        spans_s = np.array(about["spans_s"], np.float64).reshape(-1, 2)
        damage, kept_for = str(about["damage"]), about["identity"]
    except (OSError, ValueError, EOFError, KeyError, TypeError) as error:
        raise CheckpointError(f"damaged features ({type(error).__name__})", file, do) from error
    if kept_for != identity or rows.dtype != np.float32 or rows.shape != (len(spans_s), dim):
        raise CheckpointError("these are features of another network", file, do)
    return KeptFeatures(path, rows, spans_s, damage)
