"""Transfer learning: which parts of a network are trained, and how the others are frozen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from kinema.errors import ConfigError
from kinema.models.network import Network
from kinema.training.options import FitOptions


def freeze(network: Network, options: FitOptions) -> list[nn.Module]:
    """Freeze all stages that `options.transfer` does not train; returns the frozen stages, from the input on.

    The last `num_head_stages` stages count as the classifier. Frozen stages come first; autograd ends before them.

    Raises:
        ConfigError: the network has fewer stages than `transfer` names.
    """
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    stages = network.stages()
    num_open = options.num_open_stages
    if num_open is None:
        return []
    num_open += network.num_head_stages
    if num_open > len(stages):
        names = ", ".join(name for name, _ in stages)
        raise ConfigError("the network has fewer stages than --transfer asks for", options.transfer, f"stages: {names}")
    frozen = [module for _, module in stages[: len(stages) - num_open]]
    opened = {id(p) for _, module in stages[len(stages) - num_open :] for p in module.parameters()}
    opened |= {id(p) for p in network.classifier.parameters()}
    for parameter in network.parameters():
        parameter.requires_grad_(id(parameter) in opened)
    return frozen


def set_training(network: nn.Module, frozen: list[nn.Module]) -> None:
    """Set training mode, but evaluation mode for frozen stages: their batch norms keep their statistics."""
    network.train()
    for module in frozen:
        module.eval()


@contextmanager
def frozen_norms(network: nn.Module) -> Iterator[None]:
    """Keep the statistics of batch norms inside the block; other modules keep their mode."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    trained = [norm for norm in norms if norm.training]
    for norm in trained:
        norm.eval()
    yield
    for norm in trained:
        norm.train()
