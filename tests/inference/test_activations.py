"""Vectors of clips from any layer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kinema import models
from kinema.errors import UnknownName, UsageError
from kinema.inference.activations import pooled, reader


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    spec = {"size": (32, 32), "clip_len": 3}
    return models.build("late_fusion", num_classes=3, backbone="test_resnet", spec=spec).eval()


@pytest.fixture(scope="module")
def clips(network):
    return torch.randn(2, *network.spec.shape)


def test_without_a_name_the_layer_is_the_input_of_the_classifier(network, clips):
    torch.testing.assert_close(reader(network)(clips), network.features(clips))


def test_a_linear_layer_gives_its_output(network, clips):
    torch.testing.assert_close(reader(network, "classifier")(clips), network(clips))
    torch.testing.assert_close(reader(network, "joining")(clips), network.features(clips))


def convolution_of(network) -> str:
    return next(name for name, module in network.named_modules() if isinstance(module, nn.Conv2d))


@pytest.mark.parametrize(
    ("pool", "numbers"), [("mean", lambda x: x.mean((0, 2, 3))), ("max", lambda x: x.amax((0, 2, 3)))]
)
def test_maps_of_all_frames_of_a_clip_become_one_vector(network, clips, pool, numbers):
    name = convolution_of(network)
    frames = clips[1].transpose(0, 1)
    seen = []
    hook = network.get_submodule(name).register_forward_hook(lambda m, i, output: seen.append(output))
    network.backbone(frames)
    hook.remove()
    found = reader(network, name, pool)(clips)
    assert found.shape == (2, seen[0].shape[1])
    torch.testing.assert_close(found[1], numbers(seen[0]))
    assert reader(network, name, "none")(clips).shape == (2, seen[0].numel())


@pytest.mark.parametrize("shape", [(1, 8, 4, 5, 6), (4, 8, 5, 6), (1, 9, 8), (9, 8), (1, 8)])
def test_channels_are_found_in_maps_tokens_and_vectors(shape):
    """Second where there are maps, last where there are none."""
    channels = 1 if len(shape) > 3 else len(shape) - 1
    values = torch.arange(8.0).reshape([8 if axis == channels else 1 for axis in range(len(shape))]).expand(shape)
    assert pooled(values, "mean").tolist() == pooled(values, "max").tolist() == [[*range(8)]]


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.memory = nn.LSTM(3, 5, batch_first=True)
        self.idle = nn.Linear(2, 2)

    def forward(self, clip):
        return self.memory(clip.mean(dim=(3, 4)).transpose(1, 2))[0][:, -1]


def test_a_layer_that_gives_several_things_is_read_by_the_first(clips):
    network = Recurrent()
    output = network.memory(clips.mean(dim=(3, 4)).transpose(1, 2))[0]
    torch.testing.assert_close(reader(network, "memory")(clips), output.mean(1))


def test_wrong_layers_are_named_with_the_nearest(network, clips):
    with pytest.raises(UnknownName, match="joining"):
        reader(network, "joinin")
    with pytest.raises(UnknownName, match="mean"):
        reader(network, None, "meen")
    with pytest.raises(UsageError, match="not run"):
        reader(Recurrent(), "idle")(clips)
