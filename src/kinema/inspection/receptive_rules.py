"""What each operation does to receptive fields: one rule an operation, named as ATen names them.

A rule gets the operation's arguments, whose tensors carry their fields, and the shape of its output. Operations without
a rule count as pointwise: the output sees the union of what its inputs see.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from torch import Tensor

from kinema.inspection.receptive_field import (
    Atom,
    Axes,
    Field,
    carried_field,
    field_of,
    meaning,
    set_field,
    slide,
    union,
)

Arguments = list[Any]
"""Of an operation of ATen, in the order of its schema."""

Rule = Callable[[Arguments, Sequence[int]], "Field | None"]

AnyRule = TypeVar("AnyRule", bound=Rule)

RULES: dict[str, Rule] = {}
SPLITS = ("split", "split_with_sizes", "unbind", "chunk")


def rule_for(*names: str) -> Callable[[AnyRule], AnyRule]:
    """Decorator: register a rule for the operations of these names."""

    def register(rule: AnyRule) -> AnyRule:
        RULES.update(dict.fromkeys(names, rule))
        return rule

    return register


def set_output_fields(name: str, args: Arguments, outputs: object) -> None:
    """Set the fields of the outputs of one operation.

    Args:
        name: of the operation, without namespace.
        args: its arguments.
        outputs: a tensor, or several.
    """
    results = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
    tensors = [result for result in results if isinstance(result, Tensor)]
    if name in SPLITS:
        _set_split_fields(name, args, tensors)
        return
    rule = attention if "attention" in name else RULES.get(name, pointwise)
    for result in tensors:
        field = rule(args, result.shape)
        if field is not None:
            set_field(result, field)


@rule_for("convolution", "_convolution", "convolution_overrideable")
def convolution(args: Arguments, shape: Sequence[int]) -> Field:
    """A window over space and time, and a sum over channels unless each has its own filter."""
    weight, dims = args[1], args[1].ndim - 2
    if args[6]:  # transposed: enlarges the map, sees about its kernel's share
        return _resized(args[0], shape)
    stride, padding, dilation = (_numbers(args[i], dims) for i in (3, 4, 5))
    field = slide(carried_field(args[0]), weight.shape[2:], stride, padding, dilation, shape)
    if weight.shape[1] > 1 or args[8] == 1:
        field = field.summed(1)
    return field.with_axis(1, (Atom(shape[1]),))


@rule_for("max_pool2d_with_indices", "max_pool3d_with_indices", "avg_pool2d", "avg_pool3d")
def pooling(args: Arguments, shape: Sequence[int]) -> Field:
    """A window over the last axes."""
    dims = 3 if len(shape) == 5 else 2
    kernel = _numbers(args[1], dims)
    stride = _numbers(args[2], dims) if len(args) > 2 and args[2] else kernel
    padding = _numbers(args[3], dims) if len(args) > 3 else [0] * dims
    return slide(carried_field(args[0]), kernel, stride, padding, [1] * dims, shape)


@rule_for("constant_pad_nd", *(f"replication_pad{dims}d" for dims in (1, 2, 3)))
def padded(args: Arguments, shape: Sequence[int]) -> Field:
    """More elements at the ends of the last axes, at the same distance from each other."""
    field, pads = carried_field(args[0]), args[1]
    for place in range(len(pads) // 2):
        index, before = len(shape) - 1 - place, pads[2 * place]
        if len(field.axes[index]) == 1 and shape[index] != args[0].shape[index]:
            atom = field.axes[index][0]
            field = field.with_axis(index, (replace(atom, size=shape[index]),))
            if atom.axis is not None:
                field = field.widened(atom.axis, before * atom.jump, -before * atom.jump)
    return field


@rule_for("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def adaptive_pooling(args: Arguments, shape: Sequence[int]) -> Field:
    """A window of the size that leads to the output's size."""
    dims = len(args[1])
    sizes = list(zip(args[0].shape[-dims:], shape[-dims:], strict=True))
    kernel = [math.ceil(old / new) for old, new in sizes]
    stride = [max(1, old // new) for old, new in sizes]
    return slide(carried_field(args[0]), kernel, stride, [0] * dims, [1] * dims, shape)


@rule_for("mean", "sum", "amax", "max", "amin", "var_mean", "linalg_vector_norm")
def reduction(args: Arguments, shape: Sequence[int]) -> Field:
    """A sum over some axes, or over all."""
    field, rank = carried_field(args[0]), args[0].ndim
    dims = args[1] if len(args) > 1 and isinstance(args[1], list | tuple | int) else None
    if dims is None or dims == [] or isinstance(dims, bool):  # a number is an axis, a bool is `keepdim` or `unbiased`
        places = list(range(rank))
    else:
        places = [axis % rank for axis in ([dims] if isinstance(dims, int) else dims)]
    for place in places:
        field = field.summed(place)
    kept = field.axes if len(shape) == rank else tuple(a for i, a in enumerate(field.axes) if i not in places)
    return replace(field, axes=kept)


@rule_for("view", "_unsafe_view", "reshape", "unsqueeze", "squeeze", "_reshape_alias")
def reshape(args: Arguments, shape: Sequence[int]) -> Field:
    """The same elements in another shape."""
    return carried_field(args[0]).reshaped(shape)


@rule_for("permute")
def permute(args: Arguments, shape: Sequence[int]) -> Field:
    """The axes in another order."""
    field = carried_field(args[0])
    return replace(field, axes=tuple(field.axes[axis % len(shape)] for axis in args[1]))


@rule_for("transpose", "t")
def transpose(args: Arguments, shape: Sequence[int]) -> Field:
    """Two axes exchanged."""
    field, rank = carried_field(args[0]), len(shape)
    axes = list(field.axes)
    if rank > 1:
        first, second = (args[1] % rank, args[2] % rank) if len(args) > 2 else (0, 1)
        axes[first], axes[second] = axes[second], axes[first]
    return replace(field, axes=tuple(axes))


@rule_for("select")
def select(args: Arguments, shape: Sequence[int]) -> Field:
    """One element of an axis."""
    place = args[1] % args[0].ndim
    field = _starting(args[0], place, args[2] % args[0].shape[place])
    return replace(field, axes=tuple(atoms for i, atoms in enumerate(field.axes) if i != place))


@rule_for("slice")
def slice_axis(args: Arguments, shape: Sequence[int]) -> Field:
    """Some elements of an axis, at equal distances."""
    place = (args[1] if len(args) > 1 else 0) % args[0].ndim
    start = (args[2] if len(args) > 2 else 0) or 0
    step = args[4] if len(args) > 4 else 1
    return _cut(args[0], place, start + args[0].shape[place] if start < 0 else start, step, shape[place])


@rule_for("cat")
def concatenate(args: Arguments, shape: Sequence[int]) -> Field:
    """Tensors one after the other along an axis, which keeps its order if they continue each other."""
    tensors, place = args[0], (args[1] if len(args) > 1 else 0) % len(shape)
    fields = [field for field in map(field_of, tensors) if field is not None]
    parts = [field.axes[place] for field in fields]
    joined = union([field.with_axis(place, ()) for field in fields], shape)
    first = parts[0][0] if parts[0] else Atom(1)
    if len(fields) == len(tensors) and all(len(p) == 1 and replace(p[0], size=first.size) == first for p in parts):
        return joined.with_axis(place, (replace(first, size=shape[place]),))
    pieces = tuple((t.shape[place], field.axes[place] if (field := field_of(t)) else ()) for t in tensors)
    mixed = meaning([atom for part in parts for atom in part])
    return joined.with_axis(place, (Atom(shape[place], mixed=mixed, pieces=pieces),))


@rule_for("stack")
def stack(args: Arguments, shape: Sequence[int]) -> Field:
    """Tensors side by side along a new axis."""
    place = (args[1] if len(args) > 1 else 0) % len(shape)
    rest = [size for i, size in enumerate(shape) if i != place]
    joined = union([field for field in map(field_of, args[0]) if field is not None], rest)
    return replace(joined, axes=(*joined.axes[:place], (Atom(shape[place]),), *joined.axes[place:]))


@rule_for("mm", "bmm", "addmm", "baddbmm")
def matrix_product(args: Arguments, shape: Sequence[int]) -> Field:
    """A sum over the columns of the first and the rows of the second."""
    left, right = args[-2:] if len(args) < 4 else args[1:3]
    a, b = field_of(left), field_of(right)
    if a is not None:
        a = a.summed(left.ndim - 1)
    if b is not None:
        b = b.summed(right.ndim - 2)
    fields = [field for field in (a, b) if field is not None]
    met = union([replace(field, axes=()) for field in fields], ())
    batch = next((field.axes[:-2] for field in fields), ())
    row = a.axes[-2] if a is not None else (Atom(shape[-2]),)
    column = b.axes[-1] if b is not None else (Atom(shape[-1]),)
    return replace(met, axes=(*batch, row, column))


@rule_for("_softmax")
def softmax(args: Arguments, shape: Sequence[int]) -> Field:
    """Each element depends on all of its axis."""
    field = carried_field(args[0])
    return replace(field.summed(args[1] % len(shape)), axes=field.axes)


def attention(args: Arguments, shape: Sequence[int]) -> Field | None:
    """Every query sees every key and value."""
    query, key, value = (field_of(arg) for arg in args[:3])
    if query is None or key is None or value is None:
        return pointwise(args, shape)
    seen = [query.summed(args[0].ndim - 1), key.summed(args[1].ndim - 2), value.summed(args[2].ndim - 2)]
    met = union([replace(field, axes=()) for field in seen], ())
    return replace(met, axes=(*query.axes[:-1], (Atom(shape[-1]),)))


def pointwise(args: Arguments, shape: Sequence[int]) -> Field | None:
    """The union of the inputs' fields; None without any. A single input of another size counts as resized."""
    flat = [item for arg in args for item in (arg if isinstance(arg, list | tuple) else [arg])]
    found = [(value, field) for value in flat if (field := field_of(value)) is not None]
    if not found:
        return None
    if len(found) == 1 and len(found[0][1].axes) == len(shape) and tuple(found[0][0].shape) != tuple(shape):
        return _resized(found[0][0], shape)
    return union([field for _, field in found], shape)


def _set_split_fields(name: str, args: Arguments, outputs: list[Tensor]) -> None:
    place = (args[-1] if len(args) > (1 if name == "unbind" else 2) else 0) % args[0].ndim
    start = 0
    for output in outputs:
        if name == "unbind":
            set_field(output, select([args[0], place, start], output.shape))
            start += 1
        else:
            set_field(output, _cut(args[0], place, start, 1, output.shape[place]))
            start += output.shape[place]


def _numbers(value: int | Sequence[int], count: int) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    return values * count if len(values) == 1 else values


def _resized(value: Tensor, shape: Sequence[int]) -> Field:
    field = carried_field(value)
    axes = [
        tuple(replace(atom, size=new, jump=atom.jump * old / new) for atom in atoms) if old != new else atoms
        for atoms, old, new in zip(field.axes, value.shape, shape, strict=True)
    ]
    return replace(field, axes=tuple(axes))


def _cut(value: Tensor, place: int, start: int, step: int, size: int) -> Field:
    """The field of `size` elements of one axis, from `start` on."""
    field = _starting(value, place, start)
    atoms = field.axes[place]
    if step == 1 and (piece := _piece(atoms, start, size)) is not None:
        cut = piece
    elif len(atoms) == 1:
        cut = (replace(atoms[0], size=size, jump=atoms[0].jump * step),)
    else:
        cut = (Atom(size, mixed=meaning(atoms)),) if size != value.shape[place] else atoms
    return field.with_axis(place, cut)


def _piece(atoms: Axes, start: int, size: int) -> Axes | None:
    """The atoms of one of the parts that an axis was concatenated from, if exactly that part is cut out."""
    if len(atoms) != 1 or sum(length for length, _ in atoms[0].pieces) != atoms[0].size:  # reshaped or padded since
        return None
    place = 0
    for length, piece in atoms[0].pieces:
        if (place, length) == (start, size):
            return piece
        place += length
    return None


def _starting(value: Tensor, place: int, start: int) -> Field:
    """The field of a tensor from element `start` of one axis on, if that axis has a simple order."""
    field = carried_field(value)
    for atom in reversed(field.axes[place]):
        index, start = start % atom.size, start // atom.size
        if atom.axis is not None and index:
            field = field.widened(atom.axis, -index * atom.jump, index * atom.jump)
    return field
