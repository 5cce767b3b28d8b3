"""A network cut in two: the front half looks at pixels and is frozen, the back half learns from what came out of it.

With the front half frozen its outputs never change, so they can be computed once and kept; learning is then the back
half alone. The cut of a `JoinedNetwork` lies between `encode` and `join`; any other network is cut before its
classifier.
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
_NOT_OF_THE_FRONT = frozenset({"num_classes", "dropout"})


def check_split(network: Network) -> None:
    """Make sure that a network can be cut.

    Raises:
        ConfigError: layers of it that learn with the classifier cannot be called apart from the rest.
    """
    joined = isinstance(network, JoinedNetwork)
    whole = type(network).forward is Network.forward
    if joined and whole and type(network).features is JoinedNetwork.features:
        return
    if not joined and whole and network.num_head_stages == 0:
        return
    raise ConfigError(
        "the frozen part of this network cannot be called alone", network.variant, "leave --keep-features out"
    )


def frozen_features(network: Network, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b n f"]:
    """What the front half makes of clips: a vector a frame or patch, or one for each clip (n = 1)."""
    return network.encode(clip) if isinstance(network, JoinedNetwork) else network.features(clip)[:, None]


class TrainableHead(nn.Module):
    """What learns, as a module of its own; its weights are those of the network."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, kept: Float[Tensor, "b n f"], lengths: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, "b classes"]:
        """Logits of what the front half gave; `lengths` as for `JoinedNetwork.join`."""
        network = self.network
        features = network.join(kept, lengths) if isinstance(network, JoinedNetwork) else kept[:, 0]
        return network.classifier(network.dropout(features))


def frozen_fingerprint(network: Network) -> str:
    """SHA-256 over all that the front half's output depends on beside the clips: its layers, weights and input.

    Arguments of the network count, but for those that `join_arguments` names: two heads on one encoder share what is
    kept.
    """
    ignored = _NOT_OF_THE_FRONT.union(network.join_arguments if isinstance(network, JoinedNetwork) else ())
    arguments = {name: value for name, value in network.arguments.items() if name not in ignored}
    input = {name: value for name, value in network.spec.to_json().items() if name != "window_s"}  # not of a clip
    digest = hashlib.sha256(json.dumps([FORMAT, network.variant, arguments, input], default=str).encode())
    back = {id(tensor) for module in _back_modules(network) for tensor in _tensors(module).values()}
    for name, tensor in sorted(_tensors(network).items()):
        if id(tensor) not in back:
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _back_modules(network: Network) -> list[nn.Module]:
    """What learns: the last `num_head_stages` stages, and the classifier."""
    stages = network.stages()
    return [*(stage for _, stage in stages[len(stages) - network.num_head_stages :]), network.classifier]


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return dict(chain(module.named_parameters(), module.named_buffers()))
