"""Layers of a network with output sizes, receptive fields, parameters and multiply-adds; nothing is computed.

The network runs once on torch's `meta` device. Multiply-adds (MACs, what papers call FLOPs) are counted for
convolutions, matrix products and attention. Recurrent layers and attention become matrix products on that device, so
none is missed. Norms, activations and poolings count nothing, as in the papers. `flops` is twice the MACs.
`macs_with_norms` adds five for each normalised number, as fvcore does: the model zoos of PyTorchVideo and PySlowFast
count this way, and for networks of thin filters, such as X3D, the difference is a twelfth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from kinema.inspection.receptive_field import Field, field_of, input_field, set_field
from kinema.inspection.receptive_rules import Arguments, set_output_fields
from kinema.models.network import Network, on_meta

_NORMS = ("native_batch_norm", "_native_batch_norm", "native_layer_norm", "native_group_norm")
_NORM_COST = 5  # fvcore's
_UNLISTED = (nn.Identity, nn.Dropout, nn.ReLU)  # change neither size nor receptive field, cost nothing


@dataclass(frozen=True, slots=True)
class Layer:
    """One line of a summary. Sizes are without the batch; the receptive field is frames, rows, columns."""

    name: str
    type: str
    output: tuple[int, ...]
    receptive_field: tuple[int, ...]
    params: int
    macs: int


@dataclass(frozen=True, slots=True)
class Summary:
    """Costs and receptive fields of a network, for one clip."""

    name: str
    input: tuple[int, ...]
    params: int
    macs: int
    macs_with_norms: int
    layers: tuple[Layer, ...]

    @property
    def flops(self) -> int:
        """Multiplications and additions, counted separately."""
        return 2 * self.macs

    def to_json(self) -> dict[str, object]:
        """The totals and the list of layers, as `kinema describe --json` prints them."""
        layers = [
            {**asdict(layer), "output": list(layer.output), "receptive_field": list(layer.receptive_field)}
            for layer in self.layers
        ]
        totals = {"params": self.params, "macs": self.macs, "flops": self.flops}
        totals["macs_with_norms"] = self.macs_with_norms
        return {"name": self.name, "input": list(self.input), **totals, "layers": layers}


def summarize(network: Network, shape: Sequence[int] | None = None) -> Summary:
    """Count a network for one clip.

    Args:
        network: on any device, including meta; it is not changed.
        shape: of the clip, [c t h w]; None takes the network's own input.
    """
    shape = tuple(shape or network.spec.shape)
    trace = _Trace(shape[1:])
    with on_meta(network) as call, torch.no_grad(), ExitStack() as hooks:
        trace.watch(network, hooks)
        clip = torch.empty(1, *shape, device="meta")
        set_field(clip, input_field(clip.shape))
        with trace:
            call(clip)
    trace.add_uncalled(network)
    layers = tuple(record.layer(name) for name, record in trace.records.items() if record.worth_a_line)
    params = sum(parameter.numel() for parameter in network.parameters())
    return Summary(
        network.variant or type(network).__name__, shape, params, trace.macs, trace.macs + trace.norms, layers
    )


@dataclass
class _Record:
    """What was recorded of one module so far."""

    module: nn.Module
    params: int
    output: tuple[int, ...] = ()
    receptive_field: tuple[int, ...] = (1, 1, 1)
    macs: int = 0
    changes: bool = False  # its output's shape or field differs from its input's

    @property
    def worth_a_line(self) -> bool:
        if self.params or self.macs:
            return True
        leaf = next(self.module.children(), None) is None
        return leaf and self.changes and not isinstance(self.module, _UNLISTED)

    def layer(self, name: str) -> Layer:
        kind = type(self.module).__name__
        return Layer(name or kind, kind, self.output, self.receptive_field, self.params, self.macs)


def _frequent(name: str, args: Sequence[Any]) -> Any:
    """The outputs of frequent operations; None for others. Torch's own rules for them on `meta` are half of the time."""
    if name == "native_layer_norm" or (name == "native_batch_norm" and not args[5]):  # statistics are for training
        return torch.empty_like(args[0]), args[0].new_empty(0), args[0].new_empty(0)
    if name == "addmm":
        return args[1].new_empty(args[1].shape[0], args[2].shape[1])
    if name in _SAME_SIZE:
        return torch.empty_like(args[0])
    return args[0] if name.removesuffix("_") in _SAME_SIZE else None


_SAME_SIZE = ("relu", "silu", "sigmoid", "gelu", "hardswish", "hardsigmoid", "hardtanh", "tanh")
"""Operations whose output has the size of their input; with an underscore they change the input itself."""


class _Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Computes the receptive field of each operation and adds its multiply-adds to the module that is running."""

    def __init__(self, limits: Sequence[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.limits = limits
        self.macs, self.norms = 0, 0
        self.records: dict[str, _Record] = {}
        self.running: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        fields = [field_of(arg) for arg in args]
        given = func._schema.name.partition("::")[2]
        outputs = _frequent(given, args)
        if outputs is None:
            outputs = func(*args, **(kwargs or {}))
        name = given.removesuffix("_")
        arguments = list(args)
        macs = count_macs(name, arguments, outputs)
        self.macs += macs
        self.norms += _NORM_COST * arguments[0].numel() if name.startswith(_NORMS) else 0
        if macs and self.running:
            self.records[self.running[-1]].macs += macs
        if any(fields) or any(field_of(item) for arg in args if isinstance(arg, list | tuple) for item in arg):
            set_output_fields(name, arguments, outputs)
        return outputs

    def watch(self, network: nn.Module, hooks: ExitStack) -> None:
        """Record every call of every module, as long as the hooks live."""
        seen: set[int] = set()
        for name, module in network.named_modules():
            own = [p for p in module.parameters(recurse=False) if id(p) not in seen]
            seen.update(map(id, own))
            params = sum(parameter.numel() for parameter in own)
            hooks.callback(module.register_forward_pre_hook(partial(self._enter, name, params)).remove)
            hooks.callback(module.register_forward_hook(partial(self._leave, name)).remove)

    def add_uncalled(self, network: nn.Module) -> None:
        """Count parameters of modules that were never called at the nearest called module around them."""
        for name, module in network.named_modules():
            around = name
            while around not in self.records:
                around = around.rpartition(".")[0]
            if around != name:
                own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
                self.records[around].params += own

    def _enter(self, name: str, params: int, module: nn.Module, args: object) -> None:
        self.running.append(name)
        self.records.setdefault(name, _Record(module, params))

    def _leave(self, name: str, module: nn.Module, args: object, output: object) -> None:
        self.running.pop()
        result, given = _first_tensor(output), _first_tensor(args)
        if result is None:
            return
        record = self.records[name]
        record.output = tuple(result.shape[1:])
        before, after = _size(given, self.limits), _size(result, self.limits)
        record.changes |= given is None or before != after or given.shape != result.shape
        record.receptive_field = tuple(map(max, record.receptive_field, after))


def _first_tensor(value: object) -> Tensor | None:
    if isinstance(value, Tensor):
        return value
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return next((found for item in items if (found := _first_tensor(item)) is not None), None)


def _size(value: Tensor | None, limits: Sequence[int]) -> tuple[int, ...]:
    field: Field | None = field_of(value)
    return (1, 1, 1) if field is None else field.size(limits)


def count_macs(name: str, args: Arguments, outputs: Any) -> int:
    """Multiply-adds of one operation of torch; 0 for operations that multiply no tensors with each other."""
    if name in ("convolution", "_convolution", "convolution_overrideable"):
        weight, made = args[1], args[0] if args[6] else outputs
        return made.shape[0] * math.prod(made.shape[2:]) * weight.numel()
    if name in ("mm", "bmm"):
        return math.prod(outputs.shape) * args[0].shape[-1]
    if name in ("addmm", "baddbmm"):
        return math.prod(outputs.shape) * args[1].shape[-1]
    if "attention" in name and len(args) > 2:
        query, key, value = args[:3]
        pairs = math.prod(query.shape[:-1]) * key.shape[-2]
        return pairs * (query.shape[-1] + value.shape[-1])
    return 0
