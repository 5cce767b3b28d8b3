"""The network that a run starts with, new or from `--init`, and whether the settings fit it."""

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


_BACKBONE_SETTINGS = ("backbone", "pretrained", "backbone_weights", "backbone_args")


def build_network(config: TrainConfig, data: DataSet, training: DataSet, progress: Progress = SILENT) -> Network:
    """The network that the settings describe, with the outputs that the task needs for the data.

    Args:
        config: settings of the run.
        data: the whole data set.
        training: its training part, which sets the window of networks that spread their frames over the video.
        progress: receives the progress of a download.
    """
    from kinema.datasets.durations import typical_duration_s
    from kinema.training.loop import seed_weights

    seed_weights(config.seed)
    task = find_task(config.task)
    labels = task.outputs(data)
    network = _load_initial(config, labels, progress) if config.init else task.build(config, len(labels), progress)
    network.set_multi_label(data.multi_label)
    if network.spec.sampling == "spread" and network.spec.window_s is None:
        network.spec = network.spec.with_(window_s=typical_duration_s(training))
    return network


def _load_initial(config: TrainConfig, labels: tuple[str, ...], progress: Progress) -> Network:
    """The network of `--init`, with the input and arguments that the settings change and a classifier for the labels."""
    from kinema.weights.open import load_trained, names_published, trained_card, with_input

    name = str(config.init)
    card = trained_card(name)
    if card.variant != config.model:
        raise CheckpointError(f"--init holds a {card.variant}", name, f"give --model {card.variant}")
    changes = {key: value for key, value in config.spec_changes().items() if getattr(card.input, key) != value}
    model_args = parse_arguments(config.model_args)
    arguments = {key: value for key, value in model_args.items() if card.arguments.get(key) != value}
    backbone: dict[str, object] = {key: getattr(config, key) for key in _BACKBONE_SETTINGS}
    backbone["backbone_args"] = parse_arguments(config.backbone_args)
    refused = [key for key, value in backbone.items() if value and card.arguments.get(key) != value]
    if "flow" in changes and not names_published(name):
        refused.append("flow")
    if refused:
        flags = ", ".join("--flow-method" if key == "flow" else f"--{key.replace('_', '-')}" for key in refused)
        raise ConfigError("a checkpoint keeps its own network and flow", flags, "leave this out, or --init")
    with progress.download(name) as downloaded:
        network, card = load_trained(name, downloaded)
    if changes or arguments:
        network = with_input(network, changes, arguments)
    if tuple(card.labels) != labels:
        network.reset_classifier(len(labels))
    return network


def rehearse(config: TrainConfig, network: Network) -> None:
    """Check the settings against the network. Done before there is a run folder, which a corrected command would not overwrite.

    Raises:
        ConfigError: a setting does not fit the network or another setting.
    """
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
