"""Records of what there is by name: a variant of a network, and a file of published weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from kinema.models.network import Network
from kinema.types import InputChanges, InputSpec


@dataclass(frozen=True, slots=True)
class Weights:
    """Published weights of a variant. Nothing here needs the network's code, so that all of them can be listed.

    Args:
        name: used by `kinema.load` and `--model`.
        variant: the network they belong to.
        url: of the file.
        labels: the class list ("kinetics400", "sports1m", …).
        licence: the publisher's.
        sha256: checksum, or its first digits; empty if the publisher gives none.
        git_blob: the file's object name in the publisher's git repository, which is a checksum too.
        renames: name of the patterns for tensor names in the module of the family; see `kinema.weights.convert`.
        input: fields of the variant's `InputSpec` that differ for these weights.
        metrics: the publisher's figures by name, with the protocol in the name ("kinetics400 hit@1, 30 views").
        source: the page with these figures.
        task: what they predict: labels of a clip, or of its boxes.
    """

    name: str
    variant: str
    url: str
    labels: str
    licence: str
    sha256: str = ""
    git_blob: str = ""
    renames: str = ""
    input: InputChanges = field(default_factory=InputChanges)
    metrics: Mapping[str, float] = field(default_factory=dict)
    source: str = ""
    task: Literal["clip", "boxes"] = "clip"


@dataclass(frozen=True, slots=True)
class Variant:
    """One named network.

    Args:
        builder: called as `builder(spec=, num_classes=, **arguments)`; None if the variant exists on a backbone only.
        arguments: keyword arguments of the builder; the caller's override them.
        input: the default input.
        paper: authors and year, or a line of origin.
        num_classes: the default number of classes: that of the paper.
        on_backbone: called as `on_backbone(spec=, num_classes=, backbone=, **arguments)` if a backbone is given;
            None if the network has no exchangeable 2-D backbone.
        backbone: timm's name of the default backbone; "" if `builder` needs none.
        backbone_arguments: keyword arguments of `on_backbone`; the caller's override them.
        note: one line for the list of models.
        older: values of `arguments` in networks whose model cards lack them, because they are older than the argument.
    """

    builder: Callable[..., Network] | None
    arguments: Mapping[str, object]
    input: InputSpec
    paper: str
    num_classes: int = 400
    on_backbone: Callable[..., Network] | None = None
    backbone: str = ""
    backbone_arguments: Mapping[str, object] = field(default_factory=dict)
    note: str = ""
    older: Mapping[str, object] = field(default_factory=dict)
