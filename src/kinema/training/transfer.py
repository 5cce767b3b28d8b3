"""Transfer learning: which parts of a network learn, and how the rest is kept still."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from kinema.errors import ConfigError
from kinema.models.network import Network
from kinema.training.options import FitOptions


def freeze(network: Network, options: FitOptions) -> list[nn.Module]:
    """Freeze all but what `options.transfer` leaves open; returns the frozen stages, from the input on.

    Layers that came with the classifier (`num_head_stages`) count as part of it.

    Frozen stages lie at the input in one run, so autograd, which starts at the first learning parameter, never goes back
    into them.

    Raises:
        ConfigError: more stages are to stay open than the network has.
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
    still = [module for _, module in stages[: len(stages) - num_open]]
    opened = {id(p) for _, module in stages[len(stages) - num_open :] for p in module.parameters()}
    opened |= {id(p) for p in network.classifier.parameters()}
    for parameter in network.parameters():
        parameter.requires_grad_(id(parameter) in opened)
    return still


def set_training(network: nn.Module, frozen: list[nn.Module]) -> None:
    """Training mode for what learns; frozen stages stay in evaluation mode, so their batch norms keep their statistics."""
    network.train()
    for module in frozen:
        module.eval()


@contextmanager
def still_norms(network: nn.Module) -> Iterator[None]:
    """Batch norms keep their statistics inside the block; all else stays in the mode it is in."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    learning = [norm for norm in norms if norm.training]
    for norm in learning:
        norm.eval()
    yield
    for norm in learning:
        norm.train()
