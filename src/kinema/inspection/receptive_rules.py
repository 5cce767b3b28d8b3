"""What each operation does to receptive fields: one rule an operation, named as ATen names them.

A rule takes the operation's arguments, whose tensors carry their fields, and the shape of its output. Operations without
one count as pointwise: where tensors meet, the union of what they see.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from kinema.inspection.receptive_field import Atom, Field, field_of, meaning, set_field, slide, union

Rule = Callable[[list[Any], Sequence[int]], "Field | None"]


def _numbers(value: Any, count: int) -> list[int]:
    values = list(value) if isinstance(value, list | tuple) else [value]
    return values * count if len(values) == 1 else values


def _convolution(args: list[Any], shape: Sequence[int]) -> Field | None:
    field, weight, dims = field_of(args[0]), args[1], args[1].ndim - 2
    assert field is not None
    if args[6]:  # transposed: grows the picture, sees about its kernel's share
        return _resized(args, shape)
    stride, padding, dilation = (_numbers(args[i], dims) for i in (3, 4, 5))
    field = slide(field, weight.shape[2:], stride, padding, dilation, shape)
    if weight.shape[1] > 1 or args[8] == 1:
        field = field.summed(1)
    return replace(field, axes=tuple((Atom(shape[1]),) if i == 1 else atoms for i, atoms in enumerate(field.axes)))


def _pooling(args: list[Any], shape: Sequence[int]) -> Field | None:
    field = field_of(args[0])
    assert field is not None
    dims = 3 if len(shape) == 5 else 2
    kernel = _numbers(args[1], dims)
    stride = _numbers(args[2], dims) if len(args) > 2 and args[2] else kernel
    padding = _numbers(args[3], dims) if len(args) > 3 else [0] * dims
    return slide(field, kernel, stride, padding, [1] * dims, shape)


def _padded(args: list[Any], shape: Sequence[int]) -> Field | None:
    """More elements at the ends of the last axes, with the same distance between them."""
    field, pads = field_of(args[0]), args[1]
    assert field is not None
    axes = list(field.axes)
    for place in range(len(pads) // 2):
        index, before = len(shape) - 1 - place, pads[2 * place]
        if len(axes[index]) == 1 and shape[index] != args[0].shape[index]:
            atom = axes[index][0]
            axes[index] = (replace(atom, size=shape[index]),)
            if atom.axis is not None:
                field = field.widened(atom.axis, before * atom.jump, -before * atom.jump)
    return replace(field, axes=tuple(axes))


def _adaptive(args: list[Any], shape: Sequence[int]) -> Field | None:
    field, before = field_of(args[0]), args[0].shape
    assert field is not None
    dims = len(args[1])
    sizes = list(zip(before[-dims:], shape[-dims:], strict=True))
    kernel = [math.ceil(old / new) for old, new in sizes]
    stride = [max(1, old // new) for old, new in sizes]
    return slide(field, kernel, stride, [0] * dims, [1] * dims, shape)


def _resized(args: list[Any], shape: Sequence[int]) -> Field | None:
    field, before = field_of(args[0]), args[0].shape
    assert field is not None
    axes = [
        tuple(replace(atom, size=new, jump=atom.jump * old / new) for atom in atoms) if old != new else atoms
        for atoms, old, new in zip(field.axes, before, shape, strict=True)
    ]
    return replace(field, axes=tuple(axes))


def _reduction(args: list[Any], shape: Sequence[int]) -> Field | None:
    field, rank = field_of(args[0]), args[0].ndim
    assert field is not None
    dims = (
        args[1] if len(args) > 1 and isinstance(args[1], list | tuple | int) and not isinstance(args[1], bool) else None
    )
    places = (
        range(rank) if dims is None or dims == [] else [d % rank for d in ([dims] if isinstance(dims, int) else dims)]
    )
    for place in places:
        field = field.summed(place)
    kept = field.axes if len(shape) == rank else tuple(a for i, a in enumerate(field.axes) if i not in places)
    return replace(field, axes=kept)


def _reshape(args: list[Any], shape: Sequence[int]) -> Field | None:
    field = field_of(args[0])
    assert field is not None
    return field.reshaped(shape)


def _permute(args: list[Any], shape: Sequence[int]) -> Field | None:
    field, rank = field_of(args[0]), args[0].ndim
    assert field is not None
    return replace(field, axes=tuple(field.axes[d % rank] for d in args[1]))


def _transpose(args: list[Any], shape: Sequence[int]) -> Field | None:
    field, rank = field_of(args[0]), args[0].ndim
    assert field is not None
    order = list(range(rank))
    if rank > 1:
        first, second = (args[1] % rank, args[2] % rank) if len(args) > 2 else (0, 1)
        order[first], order[second] = second, first
    return replace(field, axes=tuple(field.axes[d] for d in order))


def _select(args: list[Any], shape: Sequence[int]) -> Field | None:
    place = args[1] % args[0].ndim
    field = _starting(args[0], place, args[2] % args[0].shape[place])
    return replace(field, axes=tuple(atoms for i, atoms in enumerate(field.axes) if i != place))


def _slice(args: list[Any], shape: Sequence[int]) -> Field | None:
    place = (args[1] if len(args) > 1 else 0) % args[0].ndim
    start = (args[2] if len(args) > 2 else 0) or 0
    step = args[4] if len(args) > 4 else 1
    return _cut(args[0], place, start + args[0].shape[place] if start < 0 else start, step, shape[place])


def _cut(value: Tensor, place: int, start: int, step: int, size: int) -> Field:
    field = _starting(value, place, start)
    atoms = field.axes[place]
    piece = _piece(atoms, start, size) if step == 1 else None
    if piece is not None:
        cut = piece
    elif len(atoms) == 1:
        cut = (replace(atoms[0], size=size, jump=atoms[0].jump * step),)
    else:
        cut = (Atom(size, mixed=meaning(atoms)),) if size != value.shape[place] else atoms
    return replace(field, axes=tuple(cut if i == place else a for i, a in enumerate(field.axes)))


def _piece(atoms: tuple[Atom, ...], start: int, size: int) -> tuple[Atom, ...] | None:
    """The atoms of one of the parts that an axis was joined from, if it is just that which is cut out."""
    if len(atoms) != 1 or sum(length for length, _ in atoms[0].pieces) != atoms[0].size:  # dealt out or padded since
        return None
    place = 0
    for length, piece in atoms[0].pieces:
        if (place, length) == (start, size):
            return piece
        place += length
    return None


def _starting(value: Tensor, place: int, start: int) -> Field:
    """The field seen from element `start` of one axis, where that axis has a simple order."""
    field = field_of(value)
    assert field is not None
    for atom in reversed(field.axes[place]):
        index, start = start % atom.size, start // atom.size
        if atom.axis is not None and index:
            field = field.widened(atom.axis, -index * atom.jump, index * atom.jump)
    return field


def _concatenate(args: list[Any], shape: Sequence[int]) -> Field | None:
    tensors, place = args[0], (args[1] if len(args) > 1 else 0) % len(shape)
    fields = [field for field in map(field_of, tensors) if field is not None]
    parts = [field.axes[place] for field in fields]
    joined = union(
        [replace(f, axes=tuple(() if i == place else a for i, a in enumerate(f.axes))) for f in fields], shape
    )
    first = parts[0][0] if parts[0] else Atom(1)
    if len(fields) == len(tensors) and all(len(p) == 1 and replace(p[0], size=first.size) == first for p in parts):
        atoms = (replace(first, size=shape[place]),)
    else:
        pieces = tuple((t.shape[place], field.axes[place] if (field := field_of(t)) else ()) for t in tensors)
        atoms = (Atom(shape[place], mixed=meaning([atom for part in parts for atom in part]), pieces=pieces),)
    return replace(joined, axes=tuple(atoms if i == place else a for i, a in enumerate(joined.axes)))


def _stack(args: list[Any], shape: Sequence[int]) -> Field | None:
    place = (args[1] if len(args) > 1 else 0) % len(shape)
    rest = [size for i, size in enumerate(shape) if i != place]
    joined = union([field for field in map(field_of, args[0]) if field is not None], rest)
    return replace(joined, axes=(*joined.axes[:place], (Atom(shape[place]),), *joined.axes[place:]))


def _product(args: list[Any], shape: Sequence[int]) -> Field | None:
    """Matrix product: rows of the first with columns of the second, a sum over what lies between."""
    left, right = args[-2:] if len(args) < 4 else args[1:3]
    a, b = field_of(left), field_of(right)
    if a is not None:
        a = a.summed(left.ndim - 1)
    if b is not None:
        b = b.summed(right.ndim - 2)
    fields = [field for field in (a, b) if field is not None]
    met = union([replace(field, axes=()) for field in fields], ())
    batch = next((f.axes[:-2] for f in fields), ())
    row = a.axes[-2] if a is not None else (Atom(shape[-2]),)
    column = b.axes[-1] if b is not None else (Atom(shape[-1]),)
    return replace(met, axes=(*batch, row, column))


def _attention(args: list[Any], shape: Sequence[int]) -> Field | None:
    """Every query sees every key and value."""
    query, key, value = (field_of(arg) for arg in args[:3])
    if query is None or key is None or value is None:
        return _pointwise(args, shape)
    seen = [query.summed(args[0].ndim - 1), key.summed(args[1].ndim - 2), value.summed(args[2].ndim - 2)]
    met = union([replace(field, axes=()) for field in seen], ())
    return replace(met, axes=(*query.axes[:-1], (Atom(shape[-1]),)))


def _softmax(args: list[Any], shape: Sequence[int]) -> Field | None:
    field = field_of(args[0])
    assert field is not None
    place = args[1] % len(shape)
    return replace(field.summed(place), axes=field.axes)


RULES: dict[str, Rule] = {
    **dict.fromkeys(("convolution", "_convolution", "convolution_overrideable"), _convolution),
    **dict.fromkeys(("max_pool2d_with_indices", "max_pool3d_with_indices", "avg_pool2d", "avg_pool3d"), _pooling),
    **dict.fromkeys(
        ("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_max_pool2d", "adaptive_max_pool3d"), _adaptive
    ),
    **dict.fromkeys(("constant_pad_nd", *(f"replication_pad{dims}d" for dims in (1, 2, 3))), _padded),
    **dict.fromkeys(("mean", "sum", "amax", "max", "amin", "var_mean", "linalg_vector_norm"), _reduction),
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "unsqueeze", "squeeze", "_reshape_alias"), _reshape),
    **dict.fromkeys(("transpose", "t"), _transpose),
    **dict.fromkeys(("mm", "bmm", "addmm", "baddbmm"), _product),
    "permute": _permute,
    "select": _select,
    "slice": _slice,
    "cat": _concatenate,
    "stack": _stack,
    "_softmax": _softmax,
}
SPLITS = ("split", "split_with_sizes", "unbind", "chunk")


def outputs_with_fields(name: str, args: list[Any], outputs: Any) -> None:
    """Give the outputs of one operation their fields."""
    results = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
    tensors = [result for result in results if isinstance(result, Tensor)]
    if name in SPLITS:
        _split(name, args, tensors)
        return
    rule = _attention if "attention" in name else RULES.get(name, _pointwise)
    for result in tensors:
        field = rule(args, result.shape)
        if field is not None:
            set_field(result, field)


def _split(name: str, args: list[Any], outputs: list[Tensor]) -> None:
    place = (args[-1] if len(args) > (1 if name == "unbind" else 2) else 0) % args[0].ndim
    start = 0
    for output in outputs:
        if name == "unbind":
            field = _starting(args[0], place, start)
            set_field(output, replace(field, axes=tuple(a for i, a in enumerate(field.axes) if i != place)))
            start += 1
        else:
            set_field(output, _cut(args[0], place, start, 1, output.shape[place]))
            start += output.shape[place]


def _pointwise(args: list[Any], shape: Sequence[int]) -> Field | None:
    flat = [item for arg in args for item in (arg if isinstance(arg, list | tuple) else [arg])]
    found = [(value, field) for value in flat if (field := field_of(value)) is not None]
    if not found:
        return None
    if len(found) == 1 and len(found[0][1].axes) == len(shape) and tuple(found[0][0].shape) != tuple(shape):
        return _resized([found[0][0]], shape)
    return union([field for _, field in found], shape)
