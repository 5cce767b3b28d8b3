"""The network that a run starts with, from nothing or from `--init`, and whether the settings go with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinema.errors import CheckpointError, ConfigError
from kinema.runs.options import parse_arguments
from kinema.runs.progress import SILENT, Progress
from kinema.runs.task import find_task

if TYPE_CHECKING:
    from kinema.datasets.dataset import DataSet
    from kinema.models.network import Network
    from kinema.runs.config import TrainConfig


_TRUNK = ("backbone", "pretrained", "backbone_weights", "backbone_args")


def build_network(config: TrainConfig, data: DataSet, learning: DataSet, progress: Progress = SILENT) -> Network:
    """The network that the settings describe, for the classes of the data."""
    from kinema.datasets.clips import typical_duration_s
    from kinema.training.loop import seed_weights

    seed_weights(config.seed)
    network = _initial(config, data, progress) if config.init else config.build(config.model, len(data.labels))
    network.set_multi_label(data.multi_label)
    if network.spec.sampling == "spread" and network.spec.window_s is None:
        network.spec = network.spec.with_(window_s=typical_duration_s(learning))
    return network


def _initial(config: TrainConfig, data: DataSet, progress: Progress) -> Network:
    """The network of `--init`, with the input and arguments that the settings change, and the classes of the data."""
    from kinema.weights.open import fed_otherwise, load_trained, names_published, trained_card

    name = str(config.init)
    card = trained_card(name)
    if card.variant != config.model:
        raise CheckpointError(f"--init holds a {card.variant}", name, f"give --model {card.variant}")
    changes = {key: value for key, value in config.spec_changes().items() if getattr(card.input, key) != value}
    model_args = parse_arguments(config.model_args)
    arguments = {key: value for key, value in model_args.items() if card.arguments.get(key) != value}
    trunk = {key: getattr(config, key) for key in _TRUNK} | {"backbone_args": parse_arguments(config.backbone_args)}
    other = [key for key, value in trunk.items() if value and card.arguments.get(key) != value]
    if not names_published(name):
        other += [key for key in changes if key == "flow"]
    if other:
        flags = ", ".join("--flow-method" if name == "flow" else f"--{name.replace('_', '-')}" for name in other)
        raise ConfigError("a checkpoint keeps its own network and flow", flags, "leave this out, or --init")
    with progress.download(name) as downloaded:
        network, card = load_trained(name, downloaded)
    if changes or arguments:
        network = fed_otherwise(network, changes, arguments)
    if tuple(card.labels) != tuple(data.labels):
        network.reset_classifier(len(data.labels))
    return network


def rehearse(config: TrainConfig, network: Network) -> None:
    """Find wrong settings before there is a folder that a corrected command would not overwrite."""
    from kinema.training.transfer import freeze

    if config.mirror_labels and not config.augmentation().flip:
        raise ConfigError("no clip is mirrored", "--mirror-labels", "leave it out, or give --flip 0.5")
    if config.reverse_labels and network.spec.has_flow:
        raise ConfigError(
            "flow played backwards is not that of the video backwards", "--reverse-labels", "leave it out"
        )
    if config.time_scale < 1 and network.spec.sampling != "spread":
        do = "leave it out, or give --sampling spread"
        raise ConfigError("only clips that are spread over a video are varied in time", "--time-scale", do)
    freeze(network, config)
    find_task(config.task).check(network, config)
