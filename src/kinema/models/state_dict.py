"""Weights files: safetensors, or torch's own format as long as it holds nothing but tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from kinema.errors import CheckpointError

_WRAPPERS = ("state_dict", "model_state", "model_state_dict", "model")


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Tensors by name; all floating-point tensors become float32.

    Raises:
        CheckpointError: no such file, damaged, or a pickle that holds more than tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError("no such weights file", path, "check the path")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            tensors = load_file(path)
        else:
            tensors = _read_torch(path)
    except CheckpointError:
        raise
    except Exception as error:  # safetensors and pickle raise a dozen kinds of errors for damaged files
        do = "give a .safetensors file, or a .pth file of tensors only"
        raise CheckpointError("cannot read weights", path, do) from error
    return {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}


_UNKNOWN = 1 << 40


def count_values(path: str | Path) -> int:
    """The number of values in a .safetensors file, by its header; 2^40 if it cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except (OSError, SafetensorError):
        return _UNKNOWN


def _read_torch(path: Path) -> dict[str, Tensor]:
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    for key in _WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    tensors = {name: value for name, value in loaded.items() if isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError("no tensors in this weights file", path, "give the network's state_dict")
    prefix = "module." if all(name.startswith("module.") for name in tensors) else ""
    return {name.removeprefix(prefix): value for name, value in tensors.items()}


def load_backbone_weights(model: nn.Module, path: str | Path, classifier: str) -> None:
    """Load a file into a 2-D network. A classifier with another number of classes is left out; all else must fit.

    Args:
        model: the network, with its classifier.
        path: the file.
        classifier: name of the classifier layer.

    Raises:
        CheckpointError: a tensor is missing, unknown, or of another shape.
    """
    tensors = read_weights(path)
    own = model.state_dict()
    heads = {f"{classifier}.{kind}" for kind in ("weight", "bias")} & set(own)
    if any(name not in tensors or tensors[name].shape != own[name].shape for name in heads):
        tensors = {**tensors, **{name: own[name] for name in heads}}
    check_fit(tensors, own, path, "give the file of this very backbone, and the arguments it was trained with")
    model.load_state_dict(tensors, strict=False)


def check_fit(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], path: object, do: str) -> None:
    """Compare names and shapes of a file with those of a network.

    Raises:
        CheckpointError: says how many do not fit, and the first.
    """
    optional = {name for name in own if name.endswith("num_batches_tracked")}
    faults = [f"{name} is missing" for name in own if name not in tensors and name not in optional]
    faults += [f"{name} is not in the network" for name in tensors if name not in own]
    shared = ((name, value, own[name]) for name, value in tensors.items() if name in own)
    faults += [f"{name} is {_shape(a)}, not {_shape(b)}" for name, a, b in shared if a.shape != b.shape]
    if faults:
        more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise CheckpointError(f"weights do not fit the network ({faults[0]}{more})", path, do)


def _shape(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "a number"
