"""Open a network by any name that a user can give: checkpoint, published weights, network, timm's backbone, encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from kinema.errors import CheckpointError
from kinema.models import VARIANTS, build, build_arguments, build_without_weights, is_backbone, is_network
from kinema.models.backbone import is_hub_name
from kinema.models.limits import limited_size
from kinema.models.state_dict import count_values
from kinema.weights.checkpoint import WEIGHTS, ModelCard
from kinema.weights.open import checkpoint_folder, load_trained, looks_trained, trained_card

if TYPE_CHECKING:
    from kinema.models.network import Network


def open_network(model: str) -> tuple[Network, ModelCard]:
    """A network in evaluation mode: a trained one, or one with random weights from a fixed seed.

    Args:
        model: a checkpoint or run folder, a network's name, published weights, a network of timm, or hf:ENCODER.

    Raises:
        UnknownName: there is none of that name.
        CheckpointError: the checkpoint or the weights cannot be loaded.
    """
    if not is_hub_name(model) and looks_trained(model, VARIANTS):
        return load_trained(model)
    torch.manual_seed(0)
    if is_hub_name(model):
        network = build("video_encoder", backbone=model)
    elif model not in VARIANTS and is_backbone(model):
        network = build("single_frame", backbone=model)
    else:
        network = build(model)
    labels = tuple(f"class {number}" for number in range(network.num_classes))
    return network.eval(), ModelCard.of(network, labels)


def network_without_weights(
    model: str,
    spec: Mapping[str, object] | None = None,
    *,
    backbone: str | None = None,
    num_classes: int | None = None,
    backbone_args: Mapping[str, object] | None = None,
    model_args: Mapping[str, Any] | None = None,
) -> Network:
    """The network of that name on the meta device: its weights have shapes and no values. Nothing is downloaded.

    Args:
        model: see `open_network`.
        spec: fields of its input to change.
        backbone: a 2-D network for the frames.
        num_classes: number of classes.
        backbone_args: arguments for timm.
        model_args: arguments of the network's constructor.

    Raises:
        UnknownName: there is none of that name.
        CheckpointError: the folder is not a checkpoint, or one of a newer kinema.
    """
    spec, own = dict(spec or {}), {"backbone_args": backbone_args, "backbone": backbone, "num_classes": num_classes}
    given: dict[str, Any] = {name: value for name, value in {**own, **(model_args or {})}.items() if value}
    if is_hub_name(model):
        return build_without_weights("video_encoder", spec=spec, **{**given, "backbone": model})
    if looks_trained(model, VARIANTS):
        card = trained_card(model)
        if not is_network(card.variant):
            do = "made by another version of kinema: install that one, or train again"
            raise CheckpointError(f"no network called {card.variant!r} here", model, do)
        arguments = {**build_arguments(card.variant, card.arguments), **given}
        with limited_size(count_values(checkpoint_folder(model) / WEIGHTS)):
            return build_without_weights(card.variant, spec={**card.input.to_json(), **spec}, **arguments)
    if model not in VARIANTS and backbone is None and is_backbone(model):
        return build_without_weights("single_frame", spec=spec, **{**given, "backbone": model})
    return build_without_weights(model, spec=spec, **given)
