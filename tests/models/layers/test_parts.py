from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from kinema.models.layers.parts import parts_in_order


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "mobilenetv2_035"])
def test_every_parameter_is_in_one_part(name: str):
    model = timm.create_model(name, num_classes=0)
    parts = parts_in_order(model)
    held = [id(parameter) for _, part in parts for parameter in part.parameters()]
    assert sorted(held) == sorted(id(parameter) for parameter in model.parameters())
    assert parts[0][0] == "stem"
    assert len({name for name, _ in parts}) == len(parts) > 3


def test_a_module_of_one_depth_is_the_part_itself():
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1), nn.LayerNorm(2)))
    depths = {"0.weight": 0, "0.bias": 0, "1.0.weight": 1, "1.0.bias": 1, "1.2.weight": 1, "1.2.bias": 1}
    assert [(name, part) for name, part in parts_in_order(model, depths)] == [("stem", model[0]), ("1", model[1])]


def test_parameters_of_one_depth_are_grouped():
    model = nn.Module()
    model.token, model.embed, model.head = nn.Parameter(torch.zeros(2)), nn.Linear(2, 2), nn.Linear(2, 2)
    depths = {"token": 0, "embed.weight": 0, "embed.bias": 0, "head.weight": 1, "head.bias": 1}
    (_, stem), (name, head) = parts_in_order(model, depths)
    assert {id(p) for p in stem.parameters()} == {id(model.token), *map(id, model.embed.parameters())}
    assert (name, head) == ("head", model.head)


def test_without_depths_layers_come_in_the_order_of_declaration():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert [part for _, part in parts_in_order(model)] == [model[0], model[2]]
