"""Each rule against what the operation depends on, found by changing one input element after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from kinema.inspection.receptive_field import field_of, input_field, set_field
from kinema.inspection.receptive_rules import RULES, set_output_fields

SHAPE = (1, 2, 4, 6, 6)


class Follow(TorchDispatchMode):
    """Sets the fields of all outputs."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        outputs = func(*args, **(kwargs or {}))
        flat = [item for arg in args for item in (arg if isinstance(arg, list | tuple) else [arg])]
        if any(field_of(value) for value in flat):
            set_output_fields(func._schema.name.partition("::")[2].removesuffix("_"), list(args), outputs)
        return outputs


def predicted(function: Callable[[Tensor], Tensor]) -> tuple[int, ...]:
    clip = torch.randn(SHAPE)
    set_field(clip, input_field(SHAPE))
    with torch.no_grad(), Follow():
        field = field_of(function(clip))
    assert field is not None
    return field.size(SHAPE[2:])


def measured(function: Callable[[Tensor], Tensor]) -> tuple[int, ...]:
    """How many frames, rows and columns one element in the middle depends on."""
    clip = torch.randn(SHAPE, dtype=torch.float64, requires_grad=True)
    output = function(clip)
    output[tuple(size // 2 for size in output.shape)].backward()
    assert clip.grad is not None
    seen = clip.grad != 0
    places = [seen.movedim(axis, 0).flatten(1).any(1).nonzero().flatten() for axis in (2, 3, 4)]
    return tuple(int(place[-1] - place[0] + 1) for place in places)


WEIGHT = torch.randn(3, 2, 3, 3, 3)
OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "convolution": lambda x: F.conv3d(x, WEIGHT.to(x), padding=1),
    "two_convolutions": lambda x: F.conv3d(F.conv3d(x, WEIGHT[:2].to(x), padding=1), WEIGHT[:, :, :1].to(x)),
    "average": lambda x: F.avg_pool3d(x, (2, 3, 3), 1),
    "adaptive": lambda x: F.adaptive_avg_pool3d(x, (2, 2, 2)),
    "mean_over_time": lambda x: x.mean(2, keepdim=True),
    "mean_of_all": lambda x: x.mean((2, 3, 4)),
    "padded": lambda x: F.avg_pool3d(F.pad(x, (1, 1, 1, 1, 1, 1), mode="replicate"), 3, 1),
    "softmax_over_columns": lambda x: x.softmax(-1),
    "slice": lambda x: F.avg_pool3d(x[:, :, 1:4], (3, 1, 1), 1),
    "select": lambda x: F.avg_pool2d(x[:, :, 2], 3, 1),
    "frames_in_the_batch": lambda x: F.avg_pool2d(x.transpose(1, 2).flatten(0, 1), 3, 1),
    "stacked": lambda x: torch.stack([x, x + 1], 1).mean(3),
    "concatenated": lambda x: F.avg_pool3d(torch.cat([x, 2 * x], 1), (3, 1, 1), 1),
    "matrix_product": lambda x: x.flatten(0, 3) @ torch.ones(6, 6).to(x),
    "permuted": lambda x: F.avg_pool3d(x.permute(0, 1, 3, 4, 2), (1, 1, 3), 1),
    "attention": lambda x: F.scaled_dot_product_attention(*[x.flatten(3)] * 3),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_rule_gives_what_the_operation_depends_on(name: str):
    torch.manual_seed(0)
    assert predicted(OPERATIONS[name]) == measured(OPERATIONS[name])


def test_pieces_of_a_concatenation_keep_their_order():
    token = torch.zeros(1, 2, 1)

    def without_class_token(x: Tensor) -> Tensor:
        tokens = torch.cat([token.to(x), x.flatten(2)], 2)
        return F.avg_pool3d(tokens[:, :, 1:].unflatten(2, SHAPE[2:]), 3, 1)

    assert predicted(without_class_token) == measured(without_class_token) == (3, 3, 3)


def test_operations_are_known_by_the_names_of_aten():
    names = {name for name in RULES if not name.startswith("_")}
    assert {name for name in names if not hasattr(torch.ops.aten, name)} == set()
