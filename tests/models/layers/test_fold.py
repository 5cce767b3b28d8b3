"""Frames and clips in a 2-D network: a copy has a fold of its own."""

from __future__ import annotations

import copy

import timm
import torch
from torch import nn

from kinema.models import build
from kinema.models.layers.fold import Fold, Unfolded, block_convs


def test_layers_of_a_copy_know_the_clips_of_the_copy():
    network = build("inflated", backbone="test_resnet", num_classes=2, spec={"size": (32, 32)}).eval()
    twin = copy.deepcopy(network)
    network.features(torch.zeros(3, 3, 2, 32, 32))
    assert all(layer.fold is twin.fold for layer in twin.modules() if isinstance(layer, Unfolded))
    assert (network.fold.num_clips, twin.fold.num_clips) == (3, 1)


def test_frames_of_clips_go_into_the_batch_and_come_back():
    fold, clip = Fold(), torch.randn(2, 3, 4, 5, 6)
    frames = fold.frames(clip)
    assert frames.shape == (8, 3, 5, 6)
    assert torch.equal(frames[1], clip[0, :, 1])
    assert torch.equal(fold.unfold(frames), clip)


def test_an_unfolded_layer_may_change_the_number_of_frames():
    fold = Fold()
    layer = Unfolded(fold, nn.MaxPool3d((2, 1, 1)))
    clip = torch.randn(2, 3, 4, 5, 6)
    left = layer(fold.frames(clip))
    assert torch.equal(fold.unfold(left), nn.functional.max_pool3d(clip, (2, 1, 1)))


def test_blocks_begin_with_their_first_convolution():
    network = timm.create_model("resnet18")
    assert block_convs(network)[:3] == ["layer1.0.conv1", "layer1.1.conv1", "layer2.0.conv1"]
    assert len(block_convs(network)) == 8
    assert block_convs(timm.create_model("vgg11")) == []
