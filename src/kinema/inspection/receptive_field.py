"""Receptive fields: which stretch of the input each tensor of a network depends on, followed through every operation.

Each tensor carries, for its first element, the stretch of input frames, rows and columns that it sees, and for each
of its axes what moving one step along it means on the input. An axis can be made of several ("b t" after frames
became entries of the batch), so axes are lists of atoms, and reshaping deals the atoms out anew. Convolutions and
poolings widen the stretch; a sum over an axis (linear layers, means, attention) takes all of it; where branches
meet, the union counts. Norms are taken as pointwise, as usual.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

NUM_AXES = 3  # t, h, w
Number = int | float


@dataclass(frozen=True)
class Atom:
    """A run of `size` elements that lie `jump` apart on the input's `axis`; axis None: channels or batch.

    `mixed` names axes that lie in it in no simple order (tokens after a class token). `pieces` are what it was joined
    from, sizes and atoms, so that who cuts one of them out again has its order back.
    """

    size: int
    axis: int | None = None
    jump: Number = 0
    mixed: tuple[int, ...] = ()
    pieces: tuple[tuple[int, tuple[Atom, ...]], ...] = ()


@dataclass(frozen=True)
class Field:
    """What a tensor depends on: for t, h, w the stretch [low, high] of its first element; the atoms of its axes."""

    low: tuple[Number, ...]
    high: tuple[Number, ...]
    axes: tuple[tuple[Atom, ...], ...]

    def widened(self, axis: int, before: Number, after: Number) -> Field:
        """The stretch grown along one input axis."""
        low, high = list(self.low), list(self.high)
        low[axis] -= before
        high[axis] += after
        return replace(self, low=tuple(low), high=tuple(high))

    def size(self, limits: Sequence[int]) -> tuple[int, ...]:
        """Length of the stretch along t, h, w; no longer than the input."""
        return tuple(int(min(hi - lo + 1, limit)) for lo, hi, limit in zip(self.low, self.high, limits, strict=True))

    def summed(self, axis: int) -> Field:
        """A sum over one axis of the tensor: it now sees all of it. The axis stays, without meaning."""
        field = self
        for atom in self.axes[axis]:
            if atom.axis is not None:
                field = field.widened(atom.axis, 0, (atom.size - 1) * atom.jump)
            for other in atom.mixed:
                field = field.widened(other, math.inf, math.inf)
        return replace(field, axes=tuple(() if i == axis else atoms for i, atoms in enumerate(field.axes)))

    def reshaped(self, shape: Sequence[int]) -> Field:
        """The same elements in another shape."""
        return replace(self, axes=deal([atom for atoms in self.axes for atom in atoms], shape))


def input_field(shape: Sequence[int]) -> Field:
    """That of a clip [b c t h w]: every element sees itself."""
    b, c, *rest = shape
    axes = ((Atom(b),), (Atom(c),), *((Atom(n, axis, 1),) for axis, n in enumerate(rest)))
    return Field((0,) * NUM_AXES, (0,) * NUM_AXES, axes)


def deal(atoms: list[Atom], shape: Sequence[int]) -> tuple[tuple[Atom, ...], ...]:
    """Deal atoms out to axes of the given sizes, in order, splitting an atom where an axis ends within it."""
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
            else:  # the axis cuts through an atom: what is left has no simple order
                return _muddled([atom, *mine, *left], shape)
        axes.append(tuple(mine))
    return tuple(axes)


def _muddled(atoms: list[Atom], shape: Sequence[int]) -> tuple[tuple[Atom, ...], ...]:
    seen = meaning(atoms)
    return tuple((Atom(size, mixed=seen),) for size in shape)


def union(fields: Iterable[Field], shape: Sequence[int]) -> Field:
    """Where tensors meet element by element: the union of their stretches, the axes of those that vary along them."""
    fields = list(fields)
    low = tuple(min(field.low[axis] for field in fields) for axis in range(NUM_AXES))
    high = tuple(max(field.high[axis] for field in fields) for axis in range(NUM_AXES))
    axes: list[tuple[Atom, ...]] = []
    for place in range(1, len(shape) + 1):  # from the right, as broadcasting does
        options = [field.axes[-place] for field in fields if place <= len(field.axes)]
        fitting = [atoms for atoms in options if math.prod(atom.size for atom in atoms) == shape[-place]]
        meaning = [atoms for atoms in fitting if any(atom.axis is not None or atom.mixed for atom in atoms)]
        axes.insert(0, (meaning or fitting or [(Atom(shape[-place]),)])[0])
    return Field(low, high, tuple(axes))


def field_of(value: Any) -> Field | None:
    """The field that a tensor carries, if any."""
    return getattr(value, "_kinema_field", None) if isinstance(value, Tensor) else None


def set_field(value: Tensor, field: Field) -> None:
    """Let a tensor carry its field."""
    value._kinema_field = field  # type: ignore[attr-defined]


def slide(
    field: Field,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    shape: Sequence[int],
) -> Field:
    """A window that slides over the last axes; channels and batch are left as they are.

    Where an axis has no simple order its neighbours may lie anywhere: the window then sees all of what lies in it.
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
    """The input's axes that lie in some atoms, in whatever order."""
    return tuple(
        sorted({atom.axis for atom in atoms if atom.axis is not None} | {a for atom in atoms for a in atom.mixed})
    )
