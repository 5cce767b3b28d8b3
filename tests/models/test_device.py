from __future__ import annotations

import pytest
import torch
from torch import nn

from kinema.errors import UsageError
from kinema.models import device
from kinema.models.device import autocast, channels_last, resolve_device, resolve_precision

CPU = torch.device("cpu")


def test_devices_are_found_by_name():
    assert resolve_device("cpu") == CPU
    assert resolve_device("auto").type in ("cpu", "cuda", "mps")
    for name in ("gpu", "cuda:99"):
        with pytest.raises(UsageError, match="no such device on this machine"):
            resolve_device(name)


@pytest.mark.parametrize(("fast", "precision"), [(True, "bf16"), (False, "f32")])
def test_auto_is_bf16_where_it_is_fast(monkeypatch, fast: bool, precision: str):
    monkeypatch.setattr(device, "fast_at_bf16", lambda _: fast)
    assert resolve_precision("auto", CPU) == precision
    assert resolve_precision("fp16", CPU) == "fp16"


def test_unknown_precisions_are_refused():
    with pytest.raises(UsageError, match="no such precision: f64"):
        resolve_precision("f64", CPU)
    with pytest.raises(UsageError, match="int8 needs clips"):
        resolve_precision("int8", CPU)


def test_autocast_computes_in_the_precision_and_keeps_weights():
    layer, rows = nn.Linear(3, 2), torch.randn(4, 3)
    for precision, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16)):
        with autocast(CPU, precision):
            assert layer(rows).dtype == dtype
    assert layer.weight.dtype == torch.float32


def test_channels_last_lays_out_filters_of_two_and_three_dimensions():
    network = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Conv3d(4, 4, 3), nn.Linear(4, 4))
    before = [parameter.clone() for parameter in network.parameters()]
    channels_last(network)
    assert [network[place].weight.stride(1) for place in (0, 1)] == [1, 1]
    assert all(torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))
