"""What a network is called, what makes it, how it wants to be fed, and which published weights fit: the model card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kinema.types import InputSpec


@dataclass(frozen=True, slots=True)
class Weights:
    """Published weights of a variant.

    Args:
        name: what `kinema.load` and `--model` call them.
        variant: the network they belong to.
        url: where the file is.
        sha256: its checksum, or the first digits of it; empty where the publisher gives none.
        git_blob: the file's object name in its publisher's git repository, which is a checksum too.
        labels: what its classes are ("kinetics400", "sports1m", …).
        licence: what its publisher allows.
        input: how these weights want to be fed.
        renames: patterns and replacements that turn the file's names into the network's; see `models.convert`.
        arguments: arguments of the network that these weights need.
        metrics: what its publisher measured, by name, with the protocol in the name ("kinetics400 hit@1, 30 views").
        source: the page on which the publisher says so.
    """

    name: str
    variant: str
    url: str
    labels: str
    licence: str
    input: InputSpec
    sha256: str = ""
    git_blob: str = ""
    renames: tuple[tuple[str, str], ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True, slots=True)
class Variant:
    """One named network.

    Args:
        builder: called as `builder(spec=, num_classes=, **arguments)`; gives a `Network`. None where the variant
            exists on a backbone only.
        arguments: keyword arguments of the builder; the caller's own go over them.
        input: how the network wants to be fed unless told otherwise.
        paper: authors and year, or a line of origin.
        num_classes: class count unless told otherwise: that of the paper.
        on_backbone: called as `on_backbone(spec=, num_classes=, backbone=, **arguments)` when a backbone is named;
            None where the network has no exchangeable 2-D backbone.
        backbone: timm's name of the backbone where the caller names none; "" where `builder` stands without one.
        backbone_arguments: what `arguments` is for `builder`, for `on_backbone`.
        note: one line for the list of models.
    """

    builder: Callable[..., Any] | None
    arguments: Mapping[str, Any]
    input: InputSpec
    paper: str
    num_classes: int = 400
    on_backbone: Callable[..., Any] | None = None
    backbone: str = ""
    backbone_arguments: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
