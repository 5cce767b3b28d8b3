"""Networks by name. Each file holds the `VARIANTS` of its family; here they become one table.

`build` is the one way to make any of them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
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
    online_shift,
    recurrent,
    resnet3d,
    resnet_bottleneck3d,
    s3d,
    shift,
    slowfast,
    small,
    transformer,
    tsn,
    two_stream,
    x3d,
)
from kinema.models.backbone import Backbone, BackboneSource, is_backbone, list_backbones
from kinema.models.hub_source import PREFIX, HubSource, is_hub_name
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
    **resnet_bottleneck3d.VARIANTS,
    **slowfast.VARIANTS,
    **x3d.VARIANTS,
    **nonlocal_block.VARIANTS,
    **inflate.VARIANTS,
    **tsn.VARIANTS,
    **shift.VARIANTS,
    **online_shift.VARIANTS,
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
    "is_network",
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
        backbone: a 2-D network by timm's name, in place of the variant's own trunk; for `video_encoder` an encoder of
            transformers, as "hf:NAME_OR_FOLDER", which comes with its published weights.
        pretrained: fetch the published weights of the backbone.
        backbone_weights: a local file with the backbone's weights (.safetensors, or .pth that holds nothing but
            tensors).
        backbone_args: keyword arguments for timm's constructor, such as `{"pad_type": "same"}`.
        spec: fields of the variant's `InputSpec` to change, such as `{"clip_len": 8}`.
        arguments: arguments of the network itself, such as `dropout=0.5`, `fixed_norms` of a backbone, and for any
            network over time `nonlocal_stages`, `nonlocal_every` and `nonlocal_mode`; see `nonlocal_block`.

    >>> build("slow_fusion_tiny", num_classes=5, spec={"clip_len": 10}).spec.clip_len
    10

    Raises:
        UnknownName: no such network, backbone or argument; says the nearest names.
        ConfigError: an input that this network cannot take.
        CheckpointError: the backbone's weights cannot be read or do not fit.
    """
    variants = VARIANTS | hub.ON_ENCODERS
    if name not in variants:
        raise UnknownName("network", name, _unless_farther(name, variants), do=_elsewhere(name))
    variant = variants[name]
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
    network = _construct(name, builder, {"spec": changed, **given}, {**own, **arguments})
    network.variant = name
    network.arguments = {**arguments, **_remembered(network, source)}
    return network


def _construct(
    name: str, builder: Callable[..., Network], given: Mapping[str, Any], arguments: Mapping[str, Any]
) -> Network:
    """Call the builder, then put in what any network over time can have."""
    try:
        layers, blocks = nonlocal_block.split_arguments(dict(arguments))
        network = builder(**given, **layers)
        if blocks:
            nonlocal_block.insert_nonlocal(network, **blocks)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} cannot be built like this", str(error), "correct its arguments or input") from error
    return network


def is_network(name: str) -> bool:
    """Whether `build` knows a network of that name: one of `VARIANTS`, or one that stands on an encoder."""
    return name in VARIANTS or name in hub.ON_ENCODERS


def _unless_farther(name: str, variants: Iterable[str]) -> list[str]:
    """Names of networks, or none if a network of timm looks more like `name` than any of them."""
    known = list(variants)
    near = nearest(name, [*known, *list_backbones()])
    return known if not near or near[0] in known else []


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


def _source(name: str, variant: Variant, backbone: str | None, *rest: Any) -> BackboneSource | HubSource | None:
    """The backbone asked for, the variant's default one, or None."""
    backbone = backbone or variant.backbone or None
    if name in hub.ON_ENCODERS or is_hub_name(backbone or ""):
        return _hub_source(name, backbone, *rest)
    pretrained, weights, args, fixed_norms = rest
    if backbone is None:
        if pretrained or weights or args or fixed_norms is not None:
            do = "name a backbone too, or give --init NAME: `kinema models --weights` lists what there is"
            raise UsageError(f"{name} has no published weights of a backbone", "", do)
        return None
    if variant.on_backbone is None:
        fitting = ", ".join(key for key, other in VARIANTS.items() if other.on_backbone)
        raise UsageError(
            f"{name} has no exchangeable backbone", backbone, f"leave the backbone out, or take one of {fitting}"
        )
    return BackboneSource(backbone, pretrained, weights, dict(args or {}), fixed_norms)


def _hub_source(name: str, backbone: str | None, *rest: Any) -> HubSource:
    _pretrained, weights, args, fixed_norms = rest  # its published weights come along, asked for or not
    if name not in hub.ON_ENCODERS:
        raise UsageError(
            f"{name} takes no encoder of transformers", str(backbone), f"take {', '.join(hub.ON_ENCODERS)}"
        )
    if backbone is None or not is_hub_name(backbone):
        do = f"give --backbone {PREFIX}NAME_OR_FOLDER, such as {PREFIX}facebook/vjepa2-vitl-fpc64-256"
        raise UsageError(f"{name} stands on an encoder of transformers", str(backbone or ""), do)
    if weights or fixed_norms:
        raise UsageError("an encoder comes with its own weights and norms", backbone, "leave other ones out")
    return HubSource(backbone, dict(args or {}))


def _remembered(network: Network, source: BackboneSource | HubSource | None) -> dict[str, Any]:
    """What `build` needs, beside the spec and the network's own arguments, to make the same layers again."""
    remembered: dict[str, Any] = {"num_classes": network.num_classes}
    if source is not None:
        remembered |= {"backbone": source.name, "backbone_args": dict(source.args)}
        remembered["fixed_norms"] = any(m.fixed_norms for m in network.modules() if isinstance(m, Backbone))
    return remembered


def _check_arguments(name: str, builder: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    known = [key for key in inspect.signature(builder).parameters if key not in ("spec", "num_classes", "backbone")]
    known += nonlocal_block.ARGUMENTS
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
