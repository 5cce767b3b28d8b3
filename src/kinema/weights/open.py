"""Load what `--model`, `--init` and `kinema.load` name: a checkpoint folder, a run's folder, or published weights."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Container, Mapping
from pathlib import Path

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
        model: a checkpoint folder, a run folder with `best/`, or the name of published weights; a folder comes first.
        progress: called during the download of published weights.

    Raises:
        CheckpointError: there is nothing of that name, or it cannot be loaded.
        DownloadError: published weights cannot be downloaded.
    """
    name = names_published(model)
    return load_published(name, progress) if name else load_checkpoint(_existing(model))


def with_input(
    network: Network, changes: Mapping[str, object], arguments: Mapping[str, object] | None = None
) -> Network:
    """The same weights in a network with another input.

    Args:
        network: made by `build`.
        changes: fields of its `InputSpec`, such as `{"clip_len": 8}`.
        arguments: of the network itself, such as `{"grey_time": True}`.

    Raises:
        UnknownName: the network has no such argument.
        ConfigError: the input or an argument is impossible, or the shapes of the weights depend on it.
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
    """The name itself if it means published weights; empty if it is a checkpoint or run."""
    name = os.fspath(model)
    return name if name in published_names() and not _has_card(checkpoint_folder(model)) else ""


def looks_trained(model: str, networks: Container[str]) -> bool:
    """Whether a name means a checkpoint, a run or published weights, and not a network with random weights.

    Args:
        model: as the user gave it.
        networks: names of networks, which take precedence over published weights of the same name.
    """
    return Path(model).is_dir() or os.sep in model or (model not in networks and bool(names_published(model)))


def checkpoint_folder(path: str | os.PathLike[str]) -> Path:
    """The folder itself, or its `best/` if it is a run's."""
    folder = Path(path)
    return folder / "best" if not _has_card(folder) and _has_card(folder / "best") else folder


def _has_card(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return (folder / CARD).exists()
    return False


def _existing(model: str | os.PathLike[str]) -> Path:
    """The checkpoint's folder; an error names the nearest checkpoints, runs and published weights."""
    folder, name = checkpoint_folder(model), os.fspath(model)
    if folder.exists() or (folder.parent / f".{folder.name}.previous").exists():
        return folder
    places = [path for parent in (folder.parent, Path("runs")) for path in sorted(parent.glob("*"))[:1000]]
    trained = [str(path) for path in places if _has_card(checkpoint_folder(path))]
    near = nearest(name, [*published_names(), *trained])
    do = f"Did you mean {' or '.join(near)}?" if near else "give a folder that `kinema train` wrote, such as RUN/best"
    published = "" if os.sep in name else " and no published weights of that name"
    raise CheckpointError(f"no such checkpoint folder{published}", name, do)
