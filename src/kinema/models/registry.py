"""Networks by name: `FAMILIES` says which module holds which network, `build` makes any of them.

Names, `in` and `len` come from the static table alone; a family's module is imported when one of its networks is looked
up. To add a network, write a file in `models/` with its `VARIANTS` and name them in `FAMILIES`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from kinema.errors import ConfigError, UnknownName, UsageError, lacks_memory, nearest
from kinema.models.backbone import HUB_PREFIX, Backbone, BackboneSource, is_hub_name, list_backbones
from kinema.models.network import Network
from kinema.models.variant import Variant
from kinema.types import InputChanges, InputSpec

if TYPE_CHECKING:
    from kinema.models.hub_source import HubSource

FAMILIES: dict[str, tuple[str, ...]] = {
    "karpathy": (
        *("single_frame", "single_frame_bn", "early_fusion", "early_fusion_bn"),
        *("late_fusion", "late_fusion_bn", "slow_fusion", "slow_fusion_bn"),
    ),
    "multires": (
        *("single_frame_multires", "single_frame_multires_bn", "early_fusion_multires", "early_fusion_multires_bn"),
        *("late_fusion_multires", "late_fusion_multires_bn", "slow_fusion_multires", "slow_fusion_multires_bn"),
        *("single_frame_context", "single_frame_context_bn", "early_fusion_context", "early_fusion_context_bn"),
        *("late_fusion_context", "late_fusion_context_bn", "slow_fusion_context", "slow_fusion_context_bn"),
        *("single_frame_fovea", "single_frame_fovea_bn", "early_fusion_fovea", "early_fusion_fovea_bn"),
        *("late_fusion_fovea", "late_fusion_fovea_bn", "slow_fusion_fovea", "slow_fusion_fovea_bn"),
    ),
    "small": (
        *("single_frame_small", "early_fusion_small", "late_fusion_small", "slow_fusion_small"),
        *("single_frame_tiny", "early_fusion_tiny", "late_fusion_tiny", "slow_fusion_tiny"),
    ),
    "c3d": ("c3d", "c3d_bn", "c3d_small"),
    "resnet3d": ("r3d_18", "mc3_18", "r2plus1d_18", "r3d_small", "r2plus1d_small"),
    "s3d": ("s3d", "s3d_small"),
    "i3d": ("i3d_rgb", "i3d_flow"),
    "resnet_bottleneck3d": ("slow_r50", "c2d_r50", "i3d_r50", "r2plus1d_r50"),
    "slowfast": ("slowfast_r50", "slowfast_r50_4x16", "slowfast_r101", "slowfast_16x8_r101_50_50", "slowfast_small"),
    "x3d": ("x3d_xs", "x3d_s", "x3d_m", "x3d_l"),
    "nonlocal_block": ("i3d_r50_nonlocal", "nonlocal_small"),
    "inflate": ("inflated", "inflated_resnet50", "inflated_small"),
    "tsn": ("tsn", "tsn_small"),
    "shift": ("tsm", "tsm_resnet50", "tsm_small"),
    "online_shift": ("tsm_causal", "tsm_causal_small"),
    "recurrent": (
        *("cnn_lstm", "cnn_gru", "cnn_rnn", "cnn_bilstm"),
        *("cnn_lstm_small", "cnn_gru_small", "cnn_rnn_small", "cnn_bilstm_small"),
    ),
    "conv_rnn": ("conv_rnn_small", "conv_gru_small", "conv_lstm_small"),
    "two_stream": (
        *("spatial_stream", "temporal_stream", "two_stream", "two_stream_i3d"),
        *("temporal_stream_small", "two_stream_small", "fused"),
    ),
    "mvit": ("mvit_v1_b", "mvit_v2_s", "mvit_small"),
    "transformer": ("timesformer_base", "videomae_base", "video_vit_small"),
    "causal": ("causal_a0", "causal_small"),
    "lecture": ("lecture_late_fusion", "lecture_early_fusion", "lecture_3d_cnn"),
    "detection": ("slow_r50_detection", "slowfast_r50_detection", "roi_head"),
}
"""The networks of each module in `kinema.models`, in the order in which they are listed."""


class VariantTable(Mapping[str, Variant]):
    """Variants by name; a lookup imports the module of the family.

    Args:
        families: names of variants by the module that holds them.
    """

    def __init__(self, families: Mapping[str, Sequence[str]]) -> None:
        self._families = {name: family for family, names in families.items() for name in names}

    def __getitem__(self, name: str) -> Variant:
        return self.module(name).VARIANTS[name]

    def __contains__(self, name: object) -> bool:  # the inherited one looks the variant up, which imports it
        return name in self._families

    def __iter__(self) -> Iterator[str]:
        return iter(self._families)

    def __len__(self) -> int:
        return len(self._families)

    def module(self, name: str) -> ModuleType:
        """The module of the variant's family. Raises KeyError for an unknown name."""
        return import_module(f"kinema.models.{self._families[name]}")


VARIANTS = VariantTable(FAMILIES)

ENCODER_VARIANTS = VariantTable({"hub": ("video_encoder",)})
"""Networks on an encoder of the transformers library.

They are not in `VARIANTS`: without a backbone of their own they can be neither built nor counted by name alone.
"""

SEGMENT_VARIANTS = VariantTable({"located.network": ("segments_one_stage", "segments_two_stage")})
"""Networks that locate actions in time, on the features of another network, their encoder.

They are not in `VARIANTS`: without an encoder they cannot be built.
"""

_TABLES = (VARIANTS, ENCODER_VARIANTS, SEGMENT_VARIANTS)

NONLOCAL_ARGUMENTS = {"nonlocal_stages": "stages", "nonlocal_every": "every", "nonlocal_mode": "mode"}
"""Arguments of `build` for any network, and the parameters of `nonlocal_block.insert_nonlocal` that they set."""


def build(
    name: str,
    *,
    num_classes: int | None = None,
    backbone: str | None = None,
    pretrained: bool = False,
    backbone_weights: str | None = None,
    backbone_args: Mapping[str, object] | None = None,
    spec: Mapping[str, object] | None = None,
    **arguments: Any,
) -> Network:
    """Build a network by its name, with random weights unless `pretrained` or `backbone_weights` is given.

    Args:
        name: one of `VARIANTS`.
        num_classes: length of the logits; None: the paper's, or a backbone's own with its published classifier.
        backbone: a 2-D network by timm's name, in place of the variant's own trunk; for `video_encoder` an encoder of
            transformers, as "hf:NAME_OR_FOLDER", which comes with its published weights.
        pretrained: download the published weights of the backbone.
        backbone_weights: a local file with the backbone's weights (.safetensors, or .pth with nothing but tensors).
        backbone_args: keyword arguments for timm's constructor, such as `{"pad_type": "same"}`.
        spec: fields of the variant's `InputSpec` to change, such as `{"clip_len": 8}`.
        arguments: arguments of the network itself, such as `dropout=0.5`, `fixed_norms` of a backbone, and for any
            network over time `nonlocal_stages`, `nonlocal_every` and `nonlocal_mode`; see `nonlocal_block`.

    >>> build("slow_fusion_tiny", num_classes=5, spec={"clip_len": 10}).spec.clip_len
    10

    Raises:
        UnknownName: no such network, backbone or argument; lists the nearest names.
        ConfigError: an input that this network cannot take.
        CheckpointError: the backbone's weights cannot be read or do not fit.
    """
    variant = find_variant(name)
    fixed_norms = arguments.pop("fixed_norms", None)
    source = BackboneSource(
        backbone or variant.backbone, bool(pretrained), backbone_weights or None, dict(backbone_args or {}), fixed_norms
    )
    trunk = _trunk(name, variant, source)
    given: dict[str, object] = {"num_classes": num_classes}
    if trunk is None:
        builder, own, input = variant.builder, variant.arguments, variant.input
        given["num_classes"] = variant.num_classes if num_classes is None else num_classes
    else:
        builder, own, input = variant.on_backbone, variant.backbone_arguments, trunk.input(variant.input)
        given["backbone"] = trunk
    assert builder is not None  # _trunk sees to it
    changed = _changed(input, spec)
    if variant.input.clip_len == 1 != changed.clip_len:
        do = "set it to 1, or take late fusion"
        raise ConfigError(f"{name} takes single frames", f"clip_len={changed.clip_len}", do)
    network = _construct(name, builder, changed, given, own, arguments)
    network.variant = name
    network.arguments = {**{key: own[key] for key in variant.older}, **arguments, **_remembered(network, trunk)}
    return network


def build_arguments(name: str, card: Mapping[str, object]) -> dict[str, object]:
    """The arguments of a model card, with the values of those that are newer than the card."""
    return {**VARIANTS[name].older, **card} if name in VARIANTS else dict(card)


def build_without_weights(name: str, **arguments: Any) -> Network:
    """Build a network whose weights have shapes and no values, in no time and no memory; arguments as for `build`."""
    try:
        with torch.device("meta"), _NoValues():
            return build(name, **arguments)
    except NotImplementedError:  # its constructor reads values
        return build(name, **arguments).to("meta")


class _NoValues(TorchFunctionMode):
    """Draws no first values on the meta device: torch's rules for that are a third of the time and change nothing there."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (Tensor.normal_, Tensor.uniform_) and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))


def is_network(name: str) -> bool:
    """Whether `build` can make a network of that name: one of `VARIANTS`, or one on an encoder."""
    return any(name in table for table in _TABLES)


def find_variant(name: str) -> Variant:
    """The variant of that name.

    Raises:
        UnknownName: there is none; names the nearest ones, of timm's backbones too.
    """
    if is_network(name):
        return next(table[name] for table in _TABLES if name in table)
    known, backbones = [name for table in _TABLES for name in table], list_backbones()
    near, near_backbone = nearest(name, [*known, *backbones]), nearest(name, backbones)
    do = f"Did you mean the backbone {near_backbone[0]}? " if near_backbone else ""
    do += "`kinema models` lists them; give a network of timm as --backbone"
    raise UnknownName("network", name, known if not near or near[0] in known else [], do=do)


def _trunk(name: str, variant: Variant, given: BackboneSource) -> BackboneSource | HubSource | None:
    """The backbone or encoder of the network; None if it has its own layers."""
    if name in ENCODER_VARIANTS or is_hub_name(given.name):
        return _encoder(name, given)
    if not given.name:
        if given != BackboneSource(""):
            do = "name a backbone too, or give --init NAME: `kinema models --weights` lists what there is"
            raise UsageError(f"{name} has no published weights of a backbone", "", do)
        return None
    if variant.on_backbone is None:
        fitting = ", ".join(key for key, other in VARIANTS.items() if other.on_backbone)
        do = f"leave the backbone out, or take one of {fitting}"
        raise UsageError(f"{name} has no exchangeable backbone", given.name, do)
    return given


def _encoder(name: str, given: BackboneSource) -> HubSource:
    from kinema.models.hub_source import HubSource

    if name not in ENCODER_VARIANTS:
        raise UsageError(f"{name} takes no encoder of transformers", given.name, f"take {', '.join(ENCODER_VARIANTS)}")
    if not is_hub_name(given.name):
        do = f"give --backbone {HUB_PREFIX}NAME_OR_FOLDER, such as {HUB_PREFIX}facebook/vjepa2-vitl-fpc64-256"
        raise UsageError(f"{name} needs an encoder of transformers", given.name, do)
    if given.weights or given.fixed_norms:  # `pretrained` changes nothing: its published weights come anyway
        raise UsageError("an encoder comes with its own weights and norms", given.name, "leave other ones out")
    return HubSource(given.name, given.args)


def _changed(input: InputSpec, changes: Mapping[str, object] | None) -> InputSpec:
    known = [field.name for field in fields(InputSpec)]
    for key in changes or {}:
        if key not in known:
            raise UnknownName("input setting", key, known)
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in (changes or {}).items()}
    try:
        return input.with_(**cast("InputChanges", values))
    except (ValueError, TypeError) as error:
        raise ConfigError("impossible input of a network", str(error), "correct the input settings") from error


def _construct(
    name: str,
    builder: Callable[..., Network],
    spec: InputSpec,
    given: Mapping[str, object],
    own: Mapping[str, object],
    arguments: Mapping[str, object],
) -> Network:
    """Call the builder, with a built encoder or built members for a network that is made of others; insert non-local blocks.

    Args:
        name: of the network.
        builder: of its variant.
        spec: the input.
        given: the number of classes, and the backbone if there is one.
        own: arguments of the variant.
        arguments: of the caller, which override them.
    """
    known = [key for key in inspect.signature(builder).parameters if key not in ("spec", "num_classes", "backbone")]
    known += ["dropout"] if "members" in known and "dropout" not in known else []  # an argument of the members
    for key in arguments:
        if key not in known and key not in NONLOCAL_ARGUMENTS:
            raise UnknownName(f"argument of {name}", key, [*known, *NONLOCAL_ARGUMENTS])
    layers: dict[str, Any] = {**own, **arguments}
    blocks = {NONLOCAL_ARGUMENTS[key]: layers.pop(key) for key in NONLOCAL_ARGUMENTS if key in layers}
    with _as_config_errors(name):
        if "members" in layers:
            changes = {"num_classes": given["num_classes"]}
            if (dropout := layers.pop("dropout", None)) is not None:
                changes["dropout"] = dropout
            layers["members"] = [_build_member(spec, member, changes) for member in layers["members"]]
        if "encoder" in layers:
            own_encoder = layers["encoder"]
            layers["encoder"] = build(own_encoder["variant"], spec=spec.to_json(), **own_encoder["arguments"])
        network = builder(spec=spec, **given, **layers)
        if blocks:
            from kinema.models.nonlocal_block import insert_nonlocal

            insert_nonlocal(network, **blocks)
    return network


@contextmanager
def _as_config_errors(name: str) -> Iterator[None]:
    """Turn what constructors raise for arguments that they cannot take into one kind of error."""
    try:
        yield
    except _WRONG_ARGUMENTS as error:
        # On the meta device a missing operator is expected: see `build_without_weights`.
        if isinstance(error, NotImplementedError) or lacks_memory(error):
            raise
        reason = f"{type(error).__name__}: {error}" if isinstance(error, LookupError) else str(error)
        raise ConfigError(f"{name} cannot be built like this", reason, "correct its arguments or input") from error


_WRONG_ARGUMENTS = (
    ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError
)  # fmt: skip
"""What constructors of layers raise for values that they cannot take, such as a group of no channels."""


def _build_member(spec: InputSpec, member: Mapping[str, Any], changes: Mapping[str, object]) -> Network:
    """One network of a fused one, for its part of the clip; see `fused.Fused` for what describes it."""
    name = member["variant"]
    if name not in VARIANTS:
        raise ValueError(f"no network called {name!r}")
    own = spec.part(member.get("modality", VARIANTS[name].input.modality))
    own = own.with_(clip_len=member.get("clip_len", own.clip_len))
    return build(name, spec=own.to_json(), **{**member.get("arguments", {}), **changes})


def _remembered(network: Network, trunk: BackboneSource | HubSource | None) -> dict[str, object]:
    """Arguments of `build`, apart from the spec and the network's own, that make the same layers again."""
    remembered: dict[str, object] = {"num_classes": network.num_classes}
    if trunk is not None:
        remembered |= {"backbone": trunk.name, "backbone_args": dict(trunk.args)}
        remembered["fixed_norms"] = any(m.fixed_norms for m in network.modules() if isinstance(m, Backbone))
    return remembered
