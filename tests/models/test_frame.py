"""Single-frame networks: the classifier that comes with a backbone."""

from __future__ import annotations

import torch

from kinema.models import build
from kinema.models.network import Network


def on_file(name: str, path: str, **arguments) -> Network:
    return build(name, backbone="test_resnet", backbone_weights=path, **arguments).eval()


def test_classifier_is_kept_where_no_classes_are_asked_for(published, weights_file):
    network = on_file("single_frame", weights_file, backbone_args={"num_classes": 6})
    clip = torch.randn(2, 3, 1, 160, 160)
    with torch.no_grad():
        torch.testing.assert_close(network(clip), published(clip[:, :, 0]), rtol=1e-2, atol=1e-2)
    assert next(network.parameters()).dtype == torch.float32


def test_classifier_of_another_class_count_is_left_out(published, weights_file):
    network = on_file("single_frame", weights_file, num_classes=4)
    clip = torch.randn(1, 3, 1, 160, 160)
    with torch.no_grad():
        expected = published.forward_head(published.forward_features(clip[:, :, 0]), pre_logits=True)
        torch.testing.assert_close(network.features(clip), expected, rtol=1e-2, atol=1e-2)
    assert network(clip).shape == (1, 4)
