from __future__ import annotations

import torch

from kinema.models import build
from kinema.models.layers.small_frames import SmallFrames


def test_it_is_the_trunk_of_the_small_networks():
    trunk = SmallFrames(grid=1).open((96, 96)).eval()
    network = build("single_frame_small", num_classes=2).eval()
    names = [name for name in network.state_dict() if not name.startswith("classifier")]
    assert list(trunk.state_dict()) == names
    trunk.load_state_dict({name: network.state_dict()[name] for name in names})
    frames = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(trunk(frames), network.features(frames[:, :, None]), rtol=1e-4, atol=1e-5)


def test_features_are_those_of_a_grid():
    trunk = SmallFrames(width=8, depths=(1, 1), grid=2).open((64, 48))
    assert trunk.feature_dim == 16 * 4
    assert trunk(torch.randn(3, 3, 64, 48)).shape == (3, 64)
    assert [name for name, _ in trunk.stages()] == ["stem", "stage1", "stage2"]
