"""The network that a run starts with, from nothing or from `--init`, and whether the settings go with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinema.errors import CheckpointError, ConfigError
from kinema.files import check_folder
from kinema.recipes.trained import open_trained

if TYPE_CHECKING:
    from kinema.datasets.dataset import DataSet
    from kinema.models.network import Network
    from kinema.recipes.train import TrainConfig


_TRUNK = ("backbone", "pretrained", "backbone_weights", "backbone_args")


def build_network(config: TrainConfig, data: DataSet, learning: DataSet) -> Network:
    """The network that the settings describe, for the classes of the data."""
    from kinema import models
    from kinema.datasets.clips import typical_duration_s
    from kinema.training.loop import seed_weights

    seed_weights(config.seed)
    if config.init:
        network = _initial(config, data)
    else:
        network = models.build(config.model, num_classes=len(data.labels), **config.build_arguments())
    network.set_multi_label(data.multi_label)
    if network.spec.sampling == "spread" and network.spec.window_s is None:
        network.spec = network.spec.with_(window_s=typical_duration_s(learning))
    return network


def _initial(config: TrainConfig, data: DataSet) -> Network:
    from kinema.models.trained import fed_otherwise, names_published, trained_card

    card = trained_card(str(config.init))
    if card.variant != config.model:
        raise CheckpointError(f"--init holds a {card.variant}", config.init or "", f"give --model {card.variant}")
    asked = config.build_arguments()
    changes = {name: value for name, value in asked.pop("spec").items() if getattr(card.input, name) != value}
    arguments = {name: value for name, value in asked.items() if card.arguments.get(name) != value}
    other = [name for name in _TRUNK if arguments.pop(name, None)]
    if not names_published(str(config.init)):
        other += [name for name in changes if name == "flow"]
    if other:
        flags = ", ".join("--flow-method" if name == "flow" else f"--{name.replace('_', '-')}" for name in other)
        raise ConfigError("a checkpoint keeps its own network and flow", flags, "leave this out, or --init")
    network, card = open_trained(str(config.init))
    if changes or arguments:
        network = fed_otherwise(network, changes, arguments)
    if tuple(card.labels) != tuple(data.labels):
        network.reset_classifier(len(data.labels))
    return network


def rehearse(config: TrainConfig, network: Network) -> None:
    """Find wrong settings before there is a folder that a corrected command would not overwrite."""
    from kinema.training.feature_objective import check_kept
    from kinema.training.step_objective import check_steps
    from kinema.training.transfer import freeze

    _check_variation(config, network)
    freeze(network, config)
    if config.each_step:
        check_steps(network, config)
    if config.keep_features:
        check_folder(config.keep_features)
        check_kept(network, config)


def _check_variation(config: TrainConfig, network: Network) -> None:
    if config.mirror_labels and not config.augmentation().flip:
        raise ConfigError("no clip is mirrored", "--mirror-labels", "leave it out, or give --flip 0.5")
    if config.reverse_labels and network.spec.has_flow:
        raise ConfigError("flow played backwards is not that of the film backwards", "--reverse-labels", "leave it out")
    if config.time_scale < 1 and network.spec.sampling != "spread":
        do = "leave it out, or give --sampling spread"
        raise ConfigError("only clips that are spread over a video are varied in time", "--time-scale", do)
