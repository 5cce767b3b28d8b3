"""The parts of any 2-D network from input to output, so that "the last n stages" is defined.

timm gives the depth of every parameter, for layer-wise learning rates. Parameters of the same depth form one part; if
all parameters of a module have the same depth, the module itself is the part, with its dropouts and norms.
"""

from __future__ import annotations

from torch import nn


def parts_in_order(model: nn.Module, depths: dict[str, int | float] | None = None) -> list[tuple[str, nn.Module]]:
    """Named parts from input to output; every parameter is in exactly one.

    Args:
        model: of timm, or any other.
        depths: the depth of each parameter, by name; None takes timm's, or else the order of declaration.
    """
    depths = _depths(model) if depths is None else depths
    parts: dict[int | float, dict[str, nn.Module | nn.Parameter]] = {}
    _collect(model, "", depths, parts)
    named = [(next(iter(parts[depth])), _as_module(parts[depth])) for depth in sorted(parts)]  # by the first member
    return [("stem", named[0][1]), *named[1:]]


def _depths(model: nn.Module) -> dict[str, int | float]:
    """The depth of each parameter, by name."""
    names = [name for name, _ in model.named_parameters()]
    matcher = getattr(model, "group_matcher", None)
    if matcher is None:  # every layer has its own depth, in the order of declaration
        layers = list(dict.fromkeys(name.rpartition(".")[0] for name in names))
        return {name: layers.index(name.rpartition(".")[0]) for name in names}
    from timm.models import group_parameters

    groups = group_parameters(model, matcher(coarse=True))
    return {name: depth for depth, members in groups.items() for name in members}


def _collect(
    module: nn.Module,
    path: str,
    depths: dict[str, int | float],
    parts: dict[int | float, dict[str, nn.Module | nn.Parameter]],
) -> None:
    """Collect the largest modules whose parameters have one depth; descend into the others."""
    inside = {depths[f"{path}{name}"] for name, _ in module.named_parameters()}
    if len(inside) == 1 and path:
        parts.setdefault(inside.pop(), {})[path.rstrip(".")] = module
        return
    for name, parameter in module.named_parameters(recurse=False):
        parts.setdefault(depths[f"{path}{name}"], {})[f"{path}{name}"] = parameter
    for name, child in module.named_children():
        _collect(child, f"{path}{name}.", depths, parts)


def _as_module(members: dict[str, nn.Module | nn.Parameter]) -> nn.Module:
    modules = [member for member in members.values() if isinstance(member, nn.Module)]
    if len(modules) == len(members) == 1:
        return modules[0]
    part = nn.Module()
    for name, member in members.items():
        key = name.replace(".", "_")
        if isinstance(member, nn.Module):
            part.add_module(key, member)
        else:
            part.register_parameter(key, member)
    return part
