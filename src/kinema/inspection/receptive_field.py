"""Receptive fields: the interval of input frames, rows and columns that each tensor of a network depends on.

Each tensor carries the interval of its first element, and for each of its axes what one step along it means on the
input. An axis can combine several ("b t" after frames became entries of the batch), so an axis is a tuple of atoms, and
reshaping distributes the atoms anew. Convolutions and poolings widen the interval; a sum over an axis (linear layers,
means, attention) covers all of it; where branches meet, the union counts. Norms count as pointwise, as usual.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

NUM_AXES = 3  # t, h, w
Number = int | float


@dataclass(frozen=True)
class Atom:
    """A run of `size` elements that lie `jump` apart on the input's `axis`; axis None: channels or batch.

    `mixed` names input axes that it contains in no simple order (tokens after a class token). `pieces` are the sizes and
    atoms of the parts that it was concatenated from: cutting one of them out restores its order.
    """

    size: int
    axis: int | None = None
    jump: Number = 0
    mixed: tuple[int, ...] = ()
    pieces: tuple[tuple[int, tuple[Atom, ...]], ...] = ()


Axes = tuple[Atom, ...]
"""What one axis of a tensor is made of."""


@dataclass(frozen=True)
class Field:
    """What a tensor depends on: for t, h, w the interval [low, high] of its first element; the atoms of its axes."""

    low: tuple[Number, ...]
    high: tuple[Number, ...]
    axes: tuple[tuple[Atom, ...], ...]

    def widened(self, axis: int, before: Number, after: Number) -> Field:
        """The interval extended along one input axis."""
        low, high = list(self.low), list(self.high)
        low[axis] -= before
        high[axis] += after
        return replace(self, low=tuple(low), high=tuple(high))

    def with_axis(self, index: int, atoms: Axes) -> Field:
        """Other atoms for one axis of the tensor."""
        return replace(self, axes=tuple(atoms if i == index else own for i, own in enumerate(self.axes)))

    def size(self, limits: Sequence[int]) -> tuple[int, ...]:
        """Length of the interval along t, h, w; at most `limits`, the input's."""
        return tuple(int(min(hi - lo + 1, limit)) for lo, hi, limit in zip(self.low, self.high, limits, strict=True))

    def summed(self, axis: int) -> Field:
        """The field after a sum over one axis of the tensor, all of which it then depends on. The axis stays, without atoms."""
        field = self
        for atom in self.axes[axis]:
            if atom.axis is not None:
                field = field.widened(atom.axis, 0, (atom.size - 1) * atom.jump)
            for other in atom.mixed:
                field = field.widened(other, math.inf, math.inf)
        return field.with_axis(axis, ())

    def reshaped(self, shape: Sequence[int]) -> Field:
        """The same elements in another shape."""
        return replace(self, axes=distribute([atom for atoms in self.axes for atom in atoms], shape))


def input_field(shape: Sequence[int]) -> Field:
    """The field of a clip [b c t h w]: every element depends on itself."""
    b, c, *rest = shape
    axes = ((Atom(b),), (Atom(c),), *((Atom(n, axis, 1),) for axis, n in enumerate(rest)))
    return Field((0,) * NUM_AXES, (0,) * NUM_AXES, axes)


def distribute(atoms: list[Atom], shape: Sequence[int]) -> tuple[Axes, ...]:
    """Distribute atoms to axes of the given sizes, in order, splitting an atom where an axis ends within it."""
    left = [atom for atom in atoms if atom.size > 1]
    axes: list[tuple[Atom, ...]] = []
    for length in shape:
        size, mine = length, list[Atom]()
        while size > 1 and left:
            atom = left.pop(0)
            if size % atom.size == 0:
                size //= atom.size
                mine.append(atom)
            elif atom.size % size == 0:
                inner = atom.size // size
                mine.append(replace(atom, size=size, jump=atom.jump * inner))
                left.insert(0, replace(atom, size=inner))
                size = 1
            else:  # the axis cuts through an atom: no axis has a simple order any more
                mixed = meaning([atom, *mine, *left])
                return tuple((Atom(length, mixed=mixed),) for length in shape)
        axes.append(tuple(mine))
    return tuple(axes)


def union(fields: Iterable[Field], shape: Sequence[int]) -> Field:
    """The field of an element-wise operation: the union of the intervals; each axis is that of a tensor that varies along it."""
    fields = list(fields)
    low = tuple(min(field.low[axis] for field in fields) for axis in range(NUM_AXES))
    high = tuple(max(field.high[axis] for field in fields) for axis in range(NUM_AXES))
    axes: list[tuple[Atom, ...]] = []
    for place in range(1, len(shape) + 1):  # from the right, as broadcasting does
        options = [field.axes[-place] for field in fields if place <= len(field.axes)]
        fitting = [atoms for atoms in options if math.prod(atom.size for atom in atoms) == shape[-place]]
        varying = [atoms for atoms in fitting if any(atom.axis is not None or atom.mixed for atom in atoms)]
        axes.insert(0, (varying or fitting or [(Atom(shape[-place]),)])[0])
    return Field(low, high, tuple(axes))


def field_of(value: object) -> Field | None:
    """The field that a tensor carries, if any."""
    return getattr(value, "_kinema_field", None) if isinstance(value, Tensor) else None


def carried_field(value: Tensor) -> Field:
    """The field of a tensor that is known to carry one."""
    field = field_of(value)
    assert field is not None
    return field


def set_field(value: Tensor, field: Field) -> None:
    """Attach a field to a tensor."""
    value._kinema_field = field  # type: ignore[attr-defined]


def slide(
    field: Field,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    shape: Sequence[int],
) -> Field:
    """The field of a window that slides over the last axes; channels and batch stay.

    In an axis without a simple order, neighbours can lie anywhere: the window then depends on all of its input axes.
    """
    count = len(kernel)
    axes = list(field.axes)
    for place in range(count):
        index = len(axes) - count + place
        atoms = axes[index]
        size = shape[len(shape) - count + place]
        if (kernel[place], stride[place], padding[place]) == (1, 1, 0):
            continue
        atom = atoms[0] if len(atoms) == 1 else None
        if atom is None or atom.axis is None:
            for other in meaning(atoms) if kernel[place] > 1 else ():
                field = field.widened(other, math.inf, math.inf)
            axes[index] = (Atom(size, mixed=meaning(atoms)),) if atoms else ()
            continue
        reach = (kernel[place] - 1) * dilation[place] * atom.jump
        before = padding[place] * atom.jump
        field = field.widened(atom.axis, before, reach - before)
        axes[index] = (Atom(size, atom.axis, atom.jump * stride[place]),)
    return replace(field, axes=tuple(axes))


def meaning(atoms: Sequence[Atom]) -> tuple[int, ...]:
    """The input's axes that some atoms contain, in whatever order."""
    return tuple(
        sorted({atom.axis for atom in atoms if atom.axis is not None} | {a for atom in atoms for a in atom.mixed})
    )
