from __future__ import annotations

import copy

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from kinema import models
from kinema.training.average import MovingAverage
from kinema.training.options import FitOptions
from kinema.training.transfer import freeze


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def steps(model: nn.Module, count: int = 5):
    generator = torch.Generator().manual_seed(1)
    for _ in range(count):
        with torch.no_grad():
            for tensor in (*model.parameters(), *model.buffers()):
                if tensor.requires_grad or tensor.is_floating_point():
                    tensor.add_(torch.randn(tensor.shape, generator=generator) * 0.1)
                else:
                    tensor.add_(1)
        yield


def test_it_is_torchs_average_with_a_faster_start():
    def blend(old, new, count):
        if not torch.is_floating_point(old):
            return new
        return old.lerp(new, 1 - min(0.9, (1 + float(count)) / (10 + float(count))))

    model = network()
    ours, theirs = MovingAverage(model, [], 0.9), AveragedModel(model, avg_fn=blend, use_buffers=True)
    for _ in steps(model):
        ours.follow(model)
        theirs.update_parameters(model)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())


def test_frozen_parts_are_shared_and_the_rest_is_not():
    model = network()
    average = MovingAverage(model, [model[0], model[1]], 0.9)
    assert average.module[0].weight is model[0].weight
    assert average.module[2].weight is not model[2].weight
    before = copy.deepcopy(model[0].state_dict())
    for _ in range(3):
        with torch.no_grad():
            model[2].weight.add_(1.0)
        average.follow(model)
    torch.testing.assert_close(model[0].state_dict(), before)
    assert not torch.equal(average.module[2].weight, model[2].weight)
    assert int(average.n_averaged) == 3


def test_an_average_of_a_partly_frozen_network_runs_on_its_own():
    spec = {"clip_len": 4, "size": (32, 32)}
    network = models.build("tsm", num_classes=3, backbone="test_resnet.r160_in1k", spec=spec).eval()
    still = freeze(network, FitOptions(transfer="last:1"))
    average = MovingAverage(network, still, 0.9)
    average.follow(network)
    network(torch.zeros(3, 3, 4, 32, 32))
    clips = torch.randn(2, 3, 4, 32, 32)
    assert torch.equal(average.module.eval()(clips), network(clips))
    frozen, shared = (next(net.backbone.parameters()) for net in (network, average.module))
    assert frozen is shared
