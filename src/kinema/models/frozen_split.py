"""Split a network into a frozen part, whose features can be cached, and a trainable head.

The features of a frozen part never change, so they are computed once and stored; training then runs the head alone. A
`JoinedNetwork` is split between `encode` and `join`, any other network before its classifier.
"""

from __future__ import annotations

import hashlib
import json
from itertools import chain

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.network import JoinedNetwork, Network

FORMAT = 1
_HEAD_ARGUMENTS = frozenset({"num_classes", "dropout"})


def check_split(network: Network) -> None:
    """Make sure that a network can be split.

    Raises:
        ConfigError: its trainable layers cannot be called without the others.
    """
    joined = isinstance(network, JoinedNetwork)
    whole = type(network).forward is Network.forward
    if joined and whole and type(network).features is JoinedNetwork.features:
        return
    if not joined and whole and network.num_head_stages == 0:
        return
    what = "the frozen part of this network cannot be called alone"
    raise ConfigError(what, network.variant, "leave --keep-features out")


def frozen_features(network: Network, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b n f"]:
    """Features of the frozen part: one vector a frame or patch, or one a clip (n = 1)."""
    return network.encode(clip) if isinstance(network, JoinedNetwork) else network.features(clip)[:, None]


class TrainableHead(nn.Module):
    """The trainable part as a module; it shares its weights with the network."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, features: Float[Tensor, "b n f"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b classes"]:
        """Logits from the output of `frozen_features`; `lengths` as for `JoinedNetwork.join`."""
        network = self.network
        joined = network.join(features, lengths) if isinstance(network, JoinedNetwork) else features[:, 0]
        return network.classifier(network.dropout(joined))


def frozen_fingerprint(network: Network) -> str:
    """SHA-256 over everything that the frozen features of a clip depend on: layers, weights and input.

    Arguments of the network count, except those in `join_arguments`: two heads on one encoder share cached features.
    """
    ignored = _HEAD_ARGUMENTS.union(network.join_arguments if isinstance(network, JoinedNetwork) else ())
    arguments = {name: value for name, value in network.arguments.items() if name not in ignored}
    input = {name: value for name, value in network.spec.to_json().items() if name != "window_s"}  # changes no clip
    digest = hashlib.sha256(json.dumps([FORMAT, network.variant, arguments, input], default=str).encode())
    stages = network.stages()
    head = [*(stage for _, stage in stages[len(stages) - network.num_head_stages :]), network.classifier]
    trainable = {id(tensor) for module in head for tensor in _tensors(module).values()}
    for name, tensor in sorted(_tensors(network).items()):
        if id(tensor) not in trainable:
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return dict(chain(module.named_parameters(), module.named_buffers()))
