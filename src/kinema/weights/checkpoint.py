"""A trained network as a folder: `model.safetensors` (its weights) and `model.json` (all else, to read).

A folder is written beside its place and swapped in by rename, so that a run that is killed leaves the old one or the
new one.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kinema.errors import CheckpointError, KinemaError, OutputError
from kinema.files import write_error
from kinema.models import build
from kinema.models.network import Network
from kinema.models.state_dict import check_fit, read_weights
from kinema.types import InputSpec
from kinema.version import __version__

FORMAT = 1
WEIGHTS, CARD = "model.safetensors", "model.json"


@dataclass(frozen=True)
class ModelCard:
    """All that a network needs beside its weights, and where it comes from.

    Args:
        variant: its name in `kinema.models.VARIANTS`.
        arguments: what `build` needs beside it to make the same layers.
        labels: class names, in the order of the logits.
        multi_label: scores go through a sigmoid, not through softmax.
        task: what the network is asked: "clip" for a label a clip, "frame" for one a frame (`FramewiseNetwork.frame_logits`).
        input: how it wants to be fed.
        training: the run's configuration.
        data: name, counts and fingerprint of what it learned from.
        metrics: what was measured, by name.
        version: of the format.
    """

    variant: str
    arguments: Mapping[str, Any]
    labels: tuple[str, ...]
    multi_label: bool = False
    task: str = "clip"
    input: InputSpec = field(default_factory=InputSpec)
    training: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    version: int = FORMAT

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary, as model.json holds it."""
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
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError where a value is missing or wrong."""
        return cls(
            variant=values["variant"],
            arguments=dict(values["arguments"]),
            labels=tuple(values["labels"]),
            multi_label=bool(values["multi_label"]),
            task=str(
                values.get("task", "frame" if values.get("each_step") else "clip")
            ),  # before tasks there was a flag
            input=_input(values["input"]),
            **{key: dict(values.get(key, {})) for key in ("training", "data", "metrics")},
            version=int(values["format"]),
        )

    @classmethod
    def of(cls, network: Network, labels: tuple[str, ...], **others: Any) -> ModelCard:
        """The card of a network that `build` made; `others` are the remaining fields."""
        return cls(network.variant, dict(network.arguments), tuple(labels), input=network.spec, **others)


def _input(values: Mapping[str, Any]) -> InputSpec:
    """How a network wants to be fed: nothing may be missing, because a default would feed it wrongly in silence.

    Cards from before there was optical flow do not say how it is computed; frames of older ones were never squeezed.
    """
    unsaid = {"squeezed", "flow"} if values.get("modality") == "rgb" else {"squeezed"}
    missing = set(InputSpec().to_json()) - set(values) - unsaid
    if missing:
        raise KeyError(min(missing))
    return InputSpec.from_json(values)


def save_checkpoint(
    folder: str | Path, network: Network, card: ModelCard, extras: Callable[[Path], None] | None = None
) -> None:
    """Write a checkpoint folder, whole or not at all.

    Args:
        folder: where; a checkpoint that is there already is replaced as a whole.
        network: its weights are written in their own precision.
        card: all else.
        extras: called with the unfinished folder, to put more files into it (the optimiser's state, a log).

    Raises:
        CheckpointError: labels and classes differ in number, or the network did not come from `build`.
        OutputError: the folder cannot be written, or holds something other than a checkpoint.
    """
    from safetensors import SafetensorError

    _check_card(network, card)
    folder = Path(folder)
    _check_place(folder)
    unfinished = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    try:
        unfinished.mkdir(parents=True)
        _write(unfinished, network, card)
        if extras is not None:
            extras(unfinished)
        _swap(unfinished, folder)
    except OSError as error:
        raise write_error(error, folder) from error
    except SafetensorError as error:  # a full disk comes as this
        raise OutputError("cannot write weights", folder, "free some space or choose another folder") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _check_card(network: Network, card: ModelCard) -> None:
    if not card.variant:
        raise CheckpointError(
            "this network has no name to build it by again", type(network).__name__, "make it with kinema.models.build"
        )
    if len(card.labels) != network.num_classes:
        counts = f"{len(card.labels)} labels, {network.num_classes} classes"
        raise CheckpointError("labels and logits differ in number", counts, "give one label a class")


def _check_place(folder: Path) -> None:
    if folder.is_dir() and not (folder / CARD).exists() and any(folder.iterdir()):
        raise OutputError("the folder holds something other than a checkpoint", folder, "choose another folder")
    if folder.exists() and not folder.is_dir():
        raise OutputError("there is a file of that name", folder, "choose another folder")


def _write(folder: Path, network: Network, card: ModelCard) -> None:
    from safetensors.torch import save_file

    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    text = json.dumps(card.to_json(), indent=2, ensure_ascii=False, default=str)
    (folder / CARD).write_text(text + "\n", encoding="utf-8")


def _swap(new: Path, folder: Path) -> None:
    previous = _previous(folder)
    if not folder.exists():
        os.replace(new, folder)
    else:
        shutil.rmtree(previous, ignore_errors=True)
        os.replace(folder, previous)
        os.replace(new, folder)
    shutil.rmtree(previous, ignore_errors=True)


def _previous(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.previous")


def load_checkpoint(folder: str | Path) -> tuple[Network, ModelCard]:
    """Read a checkpoint folder: the network, in evaluation mode, and its card.

    Raises:
        CheckpointError: something is missing, damaged, newer than this kinema, or does not fit together.
    """
    folder = Path(folder)
    if not folder.exists() and (_previous(folder) / CARD).exists():
        folder = _previous(folder)  # a run was killed between the two renames
    card = read_card(folder)
    try:
        tensors = read_weights(folder / WEIGHTS)
    except CheckpointError as error:
        raise CheckpointError(error.what, folder / WEIGHTS, "restore the file, or train again") from error
    network = _rebuild(folder, card)
    check_fit(
        tensors,
        network.state_dict(),
        folder / WEIGHTS,
        "the folder's files do not belong together: restore it, or train again",
    )
    network.load_state_dict(tensors)
    return network.eval(), card


def read_card(folder: str | Path) -> ModelCard:
    """Read `model.json` alone: labels, input, metrics, without the weights.

    Raises:
        CheckpointError: no such folder or card, not readable, or of a newer format.
    """
    path = Path(folder) / CARD
    if not path.is_file():
        do = "give a folder that `kinema train` wrote, such as RUN/best"
        raise CheckpointError(f"not a checkpoint: no {CARD} in it", folder, do)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if int(values["format"]) > FORMAT:
            raise CheckpointError(
                f"a checkpoint of format {values['format']}, newer than {FORMAT}", path, "update kinema"
            )
        return ModelCard.from_json(values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"damaged model card ({type(error).__name__}: {error})", path, "restore it, or train again"
        ) from error


def _rebuild(folder: Path, card: ModelCard) -> Network:
    arguments = {**card.arguments, "num_classes": len(card.labels)}
    # A card that says otherwise gives an argument twice, a TypeError.
    nothing_else: dict[str, Any] = {"pretrained": False, "backbone_weights": None}
    try:
        return build(card.variant, spec=card.input.to_json(), **nothing_else, **arguments)
    except (KinemaError, TypeError, ValueError) as error:
        do = "made by another version of kinema or timm: install that one, or train again"
        raise CheckpointError(f"cannot build this network again ({error})", folder, do) from error
