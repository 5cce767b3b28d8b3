r"""Rename the tensors of published weights to our names, by patterns.

Each pair is a regular expression, anchored at the start of a name, and its replacement. All pairs are applied to each
name one after the other; a tensor whose name becomes empty is left out.

    convert({"fc.weight": w}, ((r"fc\.", "classifier."),))   ->   {"classifier.weight": w}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

Renames = Sequence[tuple[str, str]]


def convert(tensors: Mapping[str, Tensor], renames: Renames) -> dict[str, Tensor]:
    """A state dictionary with other names; tensors are shared, not copied.

    A classifier that was published as 1x1x1 filters becomes a linear layer: see `fit_classifier`.

    Raises:
        ValueError: two tensors would get the same name.
    """
    patterns = [(re.compile(pattern), replacement) for pattern, replacement in renames]
    converted: dict[str, Tensor] = {}
    for name, value in tensors.items():
        new = name
        for pattern, replacement in patterns:
            if (found := pattern.match(new)) is not None:
                new = found.expand(replacement) + new[found.end() :]
        if new in converted:
            raise ValueError(f"two tensors would be called {new!r}, the second was {name!r}")
        if new:
            converted[new] = value
    return fit_classifier(converted)


def fit_classifier(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Filters of 1 x 1 x 1 as a matrix: "classifier.weight" [classes f 1 1 1] becomes [classes f].

    I3D and S3D, for example, are published like this. Larger filters stay, so that `check_fit` reports their shape.
    """
    weight = tensors.get("classifier.weight")
    if weight is None or weight.ndim < 3 or any(size != 1 for size in weight.shape[2:]):
        return tensors
    return {**tensors, "classifier.weight": weight.flatten(1)}
