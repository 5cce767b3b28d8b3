"""A trained network as a folder: `model.safetensors` (its weights) and `model.json` (everything else, readable).

A folder is written under a temporary name, then renamed: a killed run leaves the old one or the new one, no mixture.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, Unpack

from kinema.errors import CheckpointError, KinemaError, OutputError
from kinema.files import write_error
from kinema.models import build, build_arguments
from kinema.models.network import Network
from kinema.models.state_dict import check_fit, read_weights
from kinema.types import InputSpec
from kinema.version import __version__

FORMAT = 1
WEIGHTS, CARD = "model.safetensors", "model.json"


class CardFields(TypedDict, total=False):
    """Fields of a card that the network itself does not know; see `ModelCard`."""

    multi_label: bool
    task: str
    training: Mapping[str, object]
    data: Mapping[str, object]
    metrics: Mapping[str, object]


@dataclass(frozen=True)
class ModelCard:
    """What a network needs apart from its weights, and where it comes from.

    Args:
        variant: its name in `kinema.models.VARIANTS`.
        arguments: arguments of `build` that make the same layers.
        labels: class names, in the order of the logits.
        multi_label: scores are sigmoids, not a softmax.
        task: "clip" for a label a clip, "frame" for one a frame (`FramewiseNetwork.frame_logits`).
        input: the network's input.
        training: the run's configuration.
        data: name, counts and fingerprint of the training data.
        metrics: measured figures by name.
        version: of the format.
    """

    variant: str
    arguments: Mapping[str, Any]  # keyword arguments of `build`
    labels: tuple[str, ...]
    multi_label: bool = False
    task: str = "clip"
    input: InputSpec = field(default_factory=InputSpec)
    training: Mapping[str, object] = field(default_factory=dict)
    data: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, object] = field(default_factory=dict)
    version: int = FORMAT

    def to_json(self) -> dict[str, object]:
        """A plain dictionary, as in model.json."""
        return {
            "format": self.version,
            "kinema": __version__,
            "variant": self.variant,
            "arguments": dict(self.arguments),
            "labels": list(self.labels),
            "multi_label": self.multi_label,
            "task": self.task,
            "input": self.input.to_json(),
            "training": dict(self.training),
            "data": dict(self.data),
            "metrics": dict(self.metrics),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ModelCard:
        """The inverse of `to_json`.

        Old cards are read: before tasks there was a flag `each_step`; cards for RGB had no `flow`, older ones no
        `squeezed`. Other fields of the input may not be missing, because a default would silently be wrong.

        Raises:
            KeyError, TypeError, ValueError: a value is missing or wrong.
        """
        input = values["input"]
        optional = {"squeezed", "flow"} if input.get("modality") == "rgb" else {"squeezed"}
        if missing := set(InputSpec().to_json()) - set(input) - optional:
            raise KeyError(min(missing))
        return cls(
            variant=values["variant"],
            arguments=dict(values["arguments"]),
            labels=tuple(values["labels"]),
            multi_label=bool(values["multi_label"]),
            task=str(values.get("task", "frame" if values.get("each_step") else "clip")),
            input=InputSpec.from_json(input),
            training=dict(values.get("training", {})),
            data=dict(values.get("data", {})),
            metrics=dict(values.get("metrics", {})),
            version=int(values["format"]),
        )

    @classmethod
    def of(cls, network: Network, labels: tuple[str, ...], **others: Unpack[CardFields]) -> ModelCard:
        """The card of a network that `build` made; `others` are the remaining fields."""
        return cls(network.variant, dict(network.arguments), tuple(labels), input=network.spec, **others)


def save_checkpoint(
    folder: str | Path, network: Network, card: ModelCard, extras: Callable[[Path], None] | None = None
) -> None:
    """Write a checkpoint folder, whole or not at all.

    Args:
        folder: the target; an existing checkpoint is replaced as a whole.
        network: its weights are written in their own precision.
        card: everything else.
        extras: called with the unfinished folder, to write more files into it (the optimiser's state, a log).

    Raises:
        CheckpointError: labels and classes differ in number, or the network did not come from `build`.
        OutputError: the folder cannot be written, or holds something other than a checkpoint.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    _check_card(network, card)
    folder = Path(folder)
    if folder.is_dir() and not (folder / CARD).exists() and any(folder.iterdir()):
        raise OutputError("the folder holds something other than a checkpoint", folder, "choose another folder")
    if folder.exists() and not folder.is_dir():
        raise OutputError("there is a file of that name", folder, "choose another folder")
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    text = json.dumps(card.to_json(), indent=2, ensure_ascii=False, default=str)
    unfinished = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    try:
        unfinished.mkdir(parents=True)
        save_file(tensors, unfinished / WEIGHTS, metadata={"format": "pt"})
        (unfinished / CARD).write_text(text + "\n", encoding="utf-8")
        if extras is not None:
            extras(unfinished)
        previous = _previous(folder)
        if folder.exists():
            shutil.rmtree(previous, ignore_errors=True)
            os.replace(folder, previous)
        os.replace(unfinished, folder)
        shutil.rmtree(previous, ignore_errors=True)
    except OSError as error:
        raise write_error(error, folder) from error
    except SafetensorError as error:  # a full disk comes as this
        raise OutputError("cannot write weights", folder, "free some space or choose another folder") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _check_card(network: Network, card: ModelCard) -> None:
    if not card.variant:
        what = "this network has no name to build it by again"
        raise CheckpointError(what, type(network).__name__, "make it with kinema.models.build")
    if len(card.labels) != network.num_classes:
        counts = f"{len(card.labels)} labels, {network.num_classes} classes"
        raise CheckpointError("labels and logits differ in number", counts, "give one label a class")


def _previous(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.previous")


def load_checkpoint(folder: str | Path) -> tuple[Network, ModelCard]:
    """Read a checkpoint folder: the network, in evaluation mode, and its card.

    Raises:
        CheckpointError: a file is missing, damaged or newer than this kinema, or the files do not belong together.
    """
    folder = Path(folder)
    if not folder.exists() and (_previous(folder) / CARD).exists():
        folder = _previous(folder)  # a run was killed between the two renames of `save_checkpoint`
    card = read_card(folder)
    try:
        tensors = read_weights(folder / WEIGHTS)
    except CheckpointError as error:
        raise CheckpointError(error.what, folder / WEIGHTS, "restore the file, or train again") from error
    try:
        arguments = {**build_arguments(card.variant, card.arguments), "num_classes": len(card.labels)}
        # Given in addition to `arguments`, so that a card with `pretrained` or `backbone_weights` is a TypeError.
        network = build(card.variant, spec=card.input.to_json(), pretrained=False, backbone_weights=None, **arguments)
    except (KinemaError, TypeError, ValueError) as error:
        do = "made by another version of kinema or timm: install that one, or train again"
        raise CheckpointError(f"cannot build this network again ({error})", folder, do) from error
    do = "the folder's files do not belong together: restore it, or train again"
    check_fit(tensors, network.state_dict(), folder / WEIGHTS, do)
    network.load_state_dict(tensors)
    return network.eval(), card


def read_card(folder: str | Path) -> ModelCard:
    """Read `model.json` alone: labels, input, metrics, without the weights.

    Raises:
        CheckpointError: no such folder or card, an unreadable one, or one of a newer format.
    """
    path = Path(folder) / CARD
    if not path.is_file():
        do = "give a folder that `kinema train` wrote, such as RUN/best"
        raise CheckpointError(f"not a checkpoint: no {CARD} in it", folder, do)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if int(values["format"]) > FORMAT:
            what = f"a checkpoint of format {values['format']}, newer than {FORMAT}"
            raise CheckpointError(what, path, "update kinema")
        return ModelCard.from_json(values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"damaged model card ({type(error).__name__}: {error})"
        raise CheckpointError(what, path, "restore it, or train again") from error
