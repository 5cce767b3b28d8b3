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
        url: where the file is.
        sha256: its checksum.
        labels: what its classes are ("kinetics-400", "sports1m", …).
        licence: what its publisher allows.
        input: how these weights want to be fed.
        metrics: what its publisher measured, by name.
    """

    url: str
    sha256: str
    labels: str
    licence: str
    input: InputSpec
    metrics: Mapping[str, float] = field(default_factory=dict)


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
        weights: published weights, the best first.
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
    weights: tuple[Weights, ...] = ()
    note: str = ""
