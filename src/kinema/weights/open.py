"""What `--model`, `--init` and `kinema.load` may name: a checkpoint folder, a run's folder, or published weights."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from kinema.errors import CheckpointError, ConfigError, nearest
from kinema.models import build
from kinema.models.network import Network
from kinema.models.state_dict import check_fit
from kinema.weights.checkpoint import CARD, ModelCard, load_checkpoint, read_card
from kinema.weights.download import Progress
from kinema.weights.published import find_published, load_published, published_card, published_names


def load_trained(
    model: str | os.PathLike[str], progress: Progress = lambda done, total: None
) -> tuple[Network, ModelCard]:
    """A trained network, in evaluation mode, and its card.

    Args:
        model: a checkpoint folder, a run folder with `best/` in it, or the name of published weights; a folder goes
            first.
        progress: told how far the download of published weights is.

    Raises:
        CheckpointError: there is nothing of that name, it is damaged or made for something else.
        DownloadError: published weights cannot be fetched.
    """
    name = names_published(model)
    return load_published(name, progress) if name else load_checkpoint(_existing(model))


def with_input(network: Network, changes: Mapping[str, Any], arguments: Mapping[str, Any] | None = None) -> Network:
    """The same weights in a network that wants another input.

    Args:
        network: made by `build`.
        changes: fields of its `InputSpec`, such as `{"clip_len": 8}`.
        arguments: of the network itself, such as `{"grey_time": True}`.

    Raises:
        UnknownName: the network has no such argument.
        ConfigError: such an input or network is impossible, or the weights depend on the old one.
    """
    arguments = arguments or {}
    spec = {**network.spec.to_json(), **changes}
    other = build(network.variant, spec=spec, **{**network.arguments, **arguments})
    try:
        check_fit(network.state_dict(), other.state_dict(), network.variant, "")
    except CheckpointError as error:
        flags = [f"--{name.replace('_', '-')}" for name in changes]
        flags += [f"--model-args {name}={value}" for name, value in arguments.items()]
        raise ConfigError(f"{network.variant}: {error.what}", ", ".join(flags), "keep those of the weights") from error
    other.load_state_dict(network.state_dict())
    return other.train(network.training)


def trained_card(model: str | os.PathLike[str]) -> ModelCard:
    """The card alone: labels, input, metrics; nothing is downloaded. Raises as `load_trained`."""
    name = names_published(model)
    return published_card(find_published(name)) if name else read_card(_existing(model))


def names_published(model: str | os.PathLike[str]) -> str:
    """The name of the published weights that are meant; empty where a checkpoint is."""
    name = os.fspath(model)
    return name if name in published_names() and not _has_card(checkpoint_folder(model)) else ""


def looks_trained(model: str, networks: Container[str]) -> bool:
    """Whether a checkpoint, a run or published weights are meant, and not a network of that name with random weights.

    Args:
        model: what the user gave.
        networks: names of networks, which go before published weights of the same name.
    """
    return Path(model).is_dir() or os.sep in model or (model not in networks and bool(names_published(model)))


def checkpoint_folder(path: str | os.PathLike[str]) -> Path:
    """The folder itself, or its `best/` where it is a run's."""
    folder = Path(path)
    return folder / "best" if not _has_card(folder) and _has_card(folder / "best") else folder


def _has_card(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return (folder / CARD).exists()
    return False


def _existing(model: str | os.PathLike[str]) -> Path:
    """The checkpoint's folder; where there is nothing at all, the nearest names there are."""
    folder, name = checkpoint_folder(model), os.fspath(model)
    if folder.exists() or (folder.parent / f".{folder.name}.previous").exists():
        return folder
    near = nearest(name, [*published_names(), *_folders_near(folder)])
    do = f"Did you mean {' or '.join(near)}?" if near else "give a folder that `kinema train` wrote, such as RUN/best"
    published = "" if os.sep in name else " and no published weights of that name"
    raise CheckpointError(f"no such checkpoint folder{published}", name, do)


def _folders_near(folder: Path) -> list[str]:
    """Checkpoints and runs beside it, and those in runs/."""
    places = [path for parent in (folder.parent, Path("runs")) for path in sorted(parent.glob("*"))[:1000]]
    return [str(path) for path in places if _has_card(checkpoint_folder(path))]
