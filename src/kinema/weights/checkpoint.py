"""A trained network as a folder: `model.safetensors` (its weights) and `model.json` (everything else, readable).

A folder is written under a temporary name, then renamed: a killed run leaves the old one or the new one, no mixture.
"""

from __future__ import annotations

import json
import os
import reprlib
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

from kinema.choices import TASKS
from kinema.errors import CheckpointError, KinemaError, MissingExtra, OutputError
from kinema.files import write_error
from kinema.localization.grouping import GroupingOptions
from kinema.models import build, build_arguments
from kinema.models.limits import limited_size
from kinema.models.network import Network
from kinema.models.state_dict import check_fit, read_weights
from kinema.types import InputSpec
from kinema.version import __version__

FORMAT = 1
WEIGHTS, CARD = "model.safetensors", "model.json"
_LARGEST_CARD, _LONGEST_LIST, _LONGEST = 16 << 20, 1000, 300
"""Bytes of a card, entries of a list in its arguments, and letters of what is wrong with it in a message."""


class CardFields(TypedDict, total=False):
    """Fields of a card that the network itself does not know; see `ModelCard`."""

    multi_label: bool
    task: str
    training: Mapping[str, object]
    data: Mapping[str, object]
    metrics: Mapping[str, object]
    grouping: GroupingOptions | None


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
        grouping: how segments are made from its scores; None if that was not chosen.
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
    grouping: GroupingOptions | None = None
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
            **({"grouping": self.grouping.to_json()} if self.grouping else {}),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ModelCard:
        """The inverse of `to_json`.

        Old cards are read: before tasks there was a flag `each_step`; cards for RGB had no `flow`, older ones no
        `squeezed`, `spacing` or `grouping`. Other fields of the input may not be missing, because a default would silently be
        wrong.

        Raises:
            KeyError, TypeError, ValueError: a value is missing or wrong.
        """
        version = _version_of(values)  # first: a newer card may have other fields
        input = typed(values, "input", dict)
        optional = {"squeezed", "spacing", *(["flow"] if input.get("modality") == "rgb" else [])}
        if missing := set(InputSpec().to_json()) - set(input) - optional:
            raise KeyError(min(missing))
        labels = typed(values, "labels", list)
        check_labels(labels)
        return cls(
            variant=typed(values, "variant", str),
            arguments=_short_lists(typed(values, "arguments", dict)),
            labels=tuple(labels),
            multi_label=typed(values, "multi_label", bool),
            task=_task_of(values),
            input=InputSpec.from_json(input),
            training=typed({"training": {}, **values}, "training", dict),
            data=typed({"data": {}, **values}, "data", dict),
            metrics=typed({"metrics": {}, **values}, "metrics", dict),
            grouping=GroupingOptions.from_json(typed(values, "grouping", dict)) if values.get("grouping") else None,
            version=version,
        )

    @classmethod
    def of(cls, network: Network, labels: tuple[str, ...], **others: Unpack[CardFields]) -> ModelCard:
        """The card of a network that `build` made; `others` are the remaining fields."""
        return cls(network.variant, dict(network.arguments), tuple(labels), input=network.spec, **others)


Kind = TypeVar("Kind")


def typed(values: Mapping[str, object], name: str, kind: type[Kind]) -> Kind:
    """A field of a card.

    Raises:
        KeyError: it is missing.
        TypeError: it is of another type.
    """
    value = values[name]
    if type(value) is not kind:  # True is no number here
        raise TypeError(f"{name} must be a {kind.__name__}, got {reprlib.repr(value)}")
    return value


def check_labels(labels: Sequence[object]) -> None:
    """Check class names: texts, none of them empty or repeated.

    Raises:
        ValueError: they are not.
    """
    if not labels or not all(isinstance(label, str) and label for label in labels):
        raise ValueError(f"labels must be texts, got {reprlib.repr(labels)}")
    if len(set(labels)) < len(labels):
        twice = next(label for place, label in enumerate(labels) if label in labels[:place])
        raise ValueError(f"two labels are called {reprlib.repr(twice)}")


def _short_lists(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments; constructors make a layer for each entry of some lists.

    Raises:
        ValueError: a list in them is too long.
    """
    waiting: list[object] = [arguments]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list) and len(value) > _LONGEST_LIST:
            raise ValueError(f"arguments have lists of at most {_LONGEST_LIST} entries, got {len(value)}")
        waiting += value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
    return arguments


def _task_of(values: Mapping[str, object]) -> str:
    task = values.get("task", "frame" if values.get("each_step") else "clip")
    if task not in TASKS:
        raise ValueError(f"task must be {' or '.join(TASKS)}, got {reprlib.repr(task)}")
    return str(task)


def _version_of(values: Mapping[str, object]) -> int:
    """The format's number.

    Raises:
        CheckpointError: newer than this kinema.
    """
    version = typed(values, "format", int)
    if version > FORMAT:
        raise CheckpointError(f"a checkpoint of format {version}, newer than {FORMAT}", "", "update kinema")
    if version < 1:
        raise ValueError(f"format must be 1 to {FORMAT}, got {version}")
    return version


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
    try:
        check_labels(card.labels)
    except ValueError as error:
        raise CheckpointError(str(error), card.variant, "give each class a name of its own") from error


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
    network = _build_again(card, folder, sum(value.numel() for value in tensors.values()))
    do = "the folder's files do not belong together: restore it, or train again"
    check_fit(tensors, network.state_dict(), folder / WEIGHTS, do)
    network.load_state_dict(tensors)
    return network.eval(), card


def _build_again(card: ModelCard, folder: Path, num_values: int) -> Network:
    """The network of a card, with random weights. The file has `num_values` numbers, which bounds what is built."""
    arguments: dict[str, Any] = {**build_arguments(card.variant, card.arguments), "num_classes": len(card.labels)}
    try:
        with limited_size(num_values):
            # Given in addition to `arguments`, so that a card with `pretrained` or `backbone_weights` is a TypeError.
            return build(card.variant, spec=card.input.to_json(), pretrained=False, backbone_weights=None, **arguments)
    except MissingExtra:
        raise
    except Exception as error:  # a card may say anything, and constructors and libraries have errors of many kinds
        reason = str(error) if isinstance(error, KinemaError) else f"{type(error).__name__}: {error}"
        do = "made by another version of kinema or timm: install that one, or train again"
        raise CheckpointError(f"cannot build this network again ({reason[:_LONGEST]})", folder, do) from error


def read_card(folder: str | Path) -> ModelCard:
    """Read `model.json` alone: labels, input, metrics, without the weights.

    Raises:
        CheckpointError: no such folder or card, an unreadable one, or one of a newer format.
    """
    path = Path(folder) / CARD
    if not path.is_file():
        do = "give a folder that `kinema train` wrote, such as RUN/best"
        raise CheckpointError(f"not a checkpoint: no {CARD} in it", folder, do)
    do = "restore it, or train again"
    try:
        if path.stat().st_size > _LARGEST_CARD:
            raise CheckpointError(f"a model card of more than {_LARGEST_CARD >> 20} MB", path, do)
        return ModelCard.from_json(json.loads(path.read_text(encoding="utf-8")))
    except CheckpointError as error:
        raise CheckpointError(error.what, path, error.do) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        what = f"damaged model card ({type(error).__name__}: {str(error)[:_LONGEST]})"
        raise CheckpointError(what, path, do) from error
