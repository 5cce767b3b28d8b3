r"""Published weights under our names: a list of patterns, tried in order on each name of the file.

Each pair is a regular expression and its replacement (`re.sub` on the whole name, anchored at its start). All pairs are
applied one after the other; a name that becomes empty is left out.

    convert({"fc.weight": w}, ((r"fc\.", "classifier."),))   ->   {"classifier.weight": w}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

Renames = Sequence[tuple[str, str]]


def convert(tensors: Mapping[str, Tensor], renames: Renames) -> dict[str, Tensor]:
    """A state dictionary with other names; tensors are shared, not copied.

    A classifier that was published as filters becomes the linear layer that it is: see `fit_classifier`.

    Raises:
        ValueError: two names became the same one.
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

    Fully convolutional networks such as I3D and S3D are published like this. Larger filters are left as they are, so
    that the comparison of shapes names them.
    """
    weight = tensors.get("classifier.weight")
    if weight is None or weight.ndim < 3 or any(size != 1 for size in weight.shape[2:]):
        return tensors
    return {**tensors, "classifier.weight": weight.flatten(1)}
