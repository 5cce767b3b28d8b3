"""A limit on the size of what a constructor builds, for networks that a file describes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import get_ident

from torch import nn
from torch.nn.modules import module as hooks

from kinema.errors import ConfigError

SPARE = 1 << 25
"""Numbers beyond those of the file, for layers that constructors replace, such as the classifier of a backbone."""

MOST_MODULES = 10_000
"""Layers of a network; the largest of timm have some 3,000."""


@contextmanager
def limited_size(num_values: int) -> Iterator[None]:
    """Stop the construction of a network in this block that becomes much larger than its file, before memory is filled.

    Parameters are counted as they are registered, which comes before their first values are drawn.

    Args:
        num_values: numbers in the file. Four times as many and `SPARE` are allowed, because some constructors build more
            than they keep.

    Raises:
        ConfigError: more parameters, or more than `MOST_MODULES` layers.
    """
    most, thread = 4 * num_values + SPARE, get_ident()
    values = modules = 0

    def count_values(module: nn.Module, name: str, value: object) -> None:
        nonlocal values
        values += value.numel() if isinstance(value, nn.Parameter) and get_ident() == thread else 0
        if values > most:
            raise ConfigError(f"more than {most} parameters, its file has {num_values}", name, "correct its arguments")

    def count_modules(module: nn.Module, name: str, part: object) -> None:
        nonlocal modules
        modules += get_ident() == thread
        if modules > MOST_MODULES:
            raise ConfigError(f"more than {MOST_MODULES} layers", name, "correct its arguments")

    with ExitStack() as stack:
        stack.callback(hooks.register_module_parameter_registration_hook(count_values).remove)
        stack.callback(hooks.register_module_module_registration_hook(count_modules).remove)
        yield
