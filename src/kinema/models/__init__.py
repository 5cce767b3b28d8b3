"""Networks by name. Each file holds the `VARIANTS` of its family; here they become one table.

`build` is the one way to make any of them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import torch

from kinema.errors import ConfigError, UnknownName, UsageError, nearest
from kinema.models import (
    c3d,
    causal,
    conv_rnn,
    hub,
    i3d,
    inflate,
    karpathy,
    lecture,
    multires,
    mvit,
    nonlocal_block,
    recurrent,
    resnet3d,
    s3d,
    shift,
    slowfast,
    small,
    transformer,
    two_stream,
    x3d,
)
from kinema.models.backbone import Backbone, BackboneSource, is_backbone, list_backbones
from kinema.models.network import Network
from kinema.models.variant import Variant, Weights
from kinema.types import InputSpec

VARIANTS: dict[str, Variant] = {
    **karpathy.VARIANTS,
    **multires.VARIANTS,
    **small.VARIANTS,
    **c3d.VARIANTS,
    **resnet3d.VARIANTS,
    **s3d.VARIANTS,
    **i3d.VARIANTS,
    **slowfast.VARIANTS,
    **x3d.VARIANTS,
    **nonlocal_block.VARIANTS,
    **inflate.VARIANTS,
    **shift.VARIANTS,
    **recurrent.VARIANTS,
    **conv_rnn.VARIANTS,
    **two_stream.VARIANTS,
    **mvit.VARIANTS,
    **transformer.VARIANTS,
    **hub.VARIANTS,
    **causal.VARIANTS,
    **lecture.VARIANTS,
}

__all__ = [
    "VARIANTS",
    "BackboneSource",
    "Network",
    "Variant",
    "Weights",
    "build",
    "build_without_weights",
    "is_backbone",
]


def build(
    name: str,
    *,
    num_classes: int | None = None,
    backbone: str | None = None,
    pretrained: bool = False,
    backbone_weights: str | None = None,
    backbone_args: Mapping[str, Any] | None = None,
    spec: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> Network:
    """Build a network by its name, with random weights unless told otherwise.

    Args:
        name: one of `VARIANTS`.
        num_classes: length of the logits; None takes the paper's, or a backbone's own classes with its published
            classifier.
        backbone: a 2-D network by timm's name, in place of the variant's own trunk.
        pretrained: fetch the published weights of the backbone.
        backbone_weights: a local file with the backbone's weights (.safetensors, or .pth that holds nothing but
            tensors).
        backbone_args: keyword arguments for timm's constructor, such as `{"pad_type": "same"}`.
        spec: fields of the variant's `InputSpec` to change, such as `{"clip_len": 8}`.
        arguments: arguments of the network itself, such as `dropout=0.5`, and `fixed_norms` of a backbone.

    >>> build("slow_fusion_tiny", num_classes=5, spec={"clip_len": 10}).spec.clip_len
    10

    Raises:
        UnknownName: no such network, backbone or argument; says the nearest names.
        ConfigError: an input that this network cannot take.
        CheckpointError: the backbone's weights cannot be read or do not fit.
    """
    if name not in VARIANTS:
        raise UnknownName("network", name, VARIANTS, do=_elsewhere(name))
    variant = VARIANTS[name]
    source = _source(
        name, variant, backbone, pretrained, backbone_weights, backbone_args, arguments.pop("fixed_norms", None)
    )
    if source is None:
        builder, own, input = variant.builder, variant.arguments, variant.input
        given: dict[str, Any] = {"num_classes": variant.num_classes if num_classes is None else num_classes}
    else:
        builder, own, input = variant.on_backbone, variant.backbone_arguments, source.input(variant.input)
        given = {"num_classes": num_classes, "backbone": source}
    assert builder is not None  # _source sees to it
    _check_arguments(name, builder, arguments)
    changed = _changed(input, spec)
    if variant.input.clip_len == 1 != changed.clip_len:
        raise ConfigError(f"{name} sees one frame", f"clip_len={changed.clip_len}", "set it to 1, or take late fusion")
    try:
        network: Network = builder(spec=changed, **given, **{**own, **arguments})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} cannot be built like this", str(error), "correct its arguments or input") from error
    network.variant = name
    network.arguments = {**arguments, **_remembered(network, source)}
    return network


def _elsewhere(name: str) -> str:
    """Where else a name may be meant to lead: timm's backbones."""
    near = nearest(name, list_backbones())
    asked = f"Did you mean the backbone {near[0]}? " if near else ""
    return f"{asked}`kinema models` lists them; a network of timm goes behind --backbone"


def build_without_weights(name: str, **arguments: Any) -> Network:
    """Build a network whose weights have shapes and no values, in no time and no memory; arguments as for `build`."""
    try:
        with torch.device("meta"):
            return build(name, **arguments)
    except NotImplementedError:  # its constructor looks at values
        return build(name, **arguments).to("meta")


def _source(name: str, variant: Variant, backbone: str | None, *rest: Any) -> BackboneSource | None:
    """The backbone asked for, the variant's default one, or None."""
    backbone = backbone or variant.backbone or None
    pretrained, weights, args, fixed_norms = rest
    if backbone is None:
        if pretrained or weights or args or fixed_norms is not None:
            raise UsageError(f"{name} has no published weights here", "", "name a backbone too, or train from scratch")
        return None
    if variant.on_backbone is None:
        fitting = ", ".join(key for key, other in VARIANTS.items() if other.on_backbone)
        raise UsageError(
            f"{name} has no exchangeable backbone", backbone, f"leave the backbone out, or take one of {fitting}"
        )
    return BackboneSource(backbone, pretrained, weights, dict(args or {}), fixed_norms)


def _remembered(network: Network, source: BackboneSource | None) -> dict[str, Any]:
    """What `build` needs, beside the spec and the network's own arguments, to make the same layers again."""
    remembered: dict[str, Any] = {"num_classes": network.num_classes}
    if source is not None:
        remembered |= {"backbone": source.name, "backbone_args": dict(source.args)}
        remembered["fixed_norms"] = any(m.fixed_norms for m in network.modules() if isinstance(m, Backbone))
    return remembered


def _check_arguments(name: str, builder: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    known = [key for key in inspect.signature(builder).parameters if key not in ("spec", "num_classes", "backbone")]
    for key in arguments:
        if key not in known:
            raise UnknownName(f"argument of {name}", key, known)


def _changed(input: InputSpec, changes: Mapping[str, Any] | None) -> InputSpec:
    known = [field.name for field in fields(InputSpec)]
    for key in changes or {}:
        if key not in known:
            raise UnknownName("input setting", key, known)
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in (changes or {}).items()}
    try:
        return input.with_(**values)
    except (ValueError, TypeError) as error:
        raise ConfigError("a network cannot be fed like this", str(error), "correct the input settings") from error
