"""Two-stream networks: their costs, how streams are joined, and that flow tells what no frame shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kinema.clips.transforms import normalize
from kinema.errors import ConfigError
from kinema.inspection.summary import summarize
from kinema.models import VARIANTS, build, build_without_weights
from kinema.models.backbone import BackboneSource
from kinema.models.two_stream import CnnM, TemporalStream
from kinema.video.flow import measure, quantise


@pytest.mark.parametrize(
    ("name", "num_classes", "params", "gmacs"),
    [
        # 96*3*49+96, 256*96*25+256, 512*256*9+512, twice 512*512*9+512, 18432*4096+4096, 4096*2048+2048, 2048*101+101
        ("spatial_stream", 101, 90_627_813, 1.664),
        ("temporal_stream", 101, 90_627_813 + 96 * 17 * 49, 2.614),
        ("two_stream", 101, 2 * 90_627_813 + 96 * 17 * 49, 4.278),
        ("two_stream_i3d", 400, 12_697_264 + 12_675_312, 111.15 + 102.34),
    ],
)
def test_published_networks_cost_what_their_papers_say(name: str, num_classes: int, params: int, gmacs: float):
    cost = summarize(build_without_weights(name, num_classes=num_classes))
    assert cost.params == params
    assert cost.macs / 1e9 == pytest.approx(gmacs, rel=0.001)


def test_cnn_m_has_the_layers_of_the_papers_figure():
    spec = VARIANTS["spatial_stream"].input
    with torch.device("meta"):
        network = CnnM(spec, 101)
    stages = dict(network.stages())
    assert list(stages) == ["conv1", "conv2", "conv3", "conv4", "conv5", "full6", "full7"]
    clip = torch.empty(1, 3, 224, 224, device="meta")
    shapes = [tuple((clip := stage(clip)).shape[1:]) for stage in stages.values()]
    assert shapes == [(96, 54, 54), (256, 13, 13), (512, 13, 13), (512, 13, 13), (512, 6, 6), (4096,), (2048,)]
    networks = [build_without_weights(name) for name in ("spatial_stream", "temporal_stream")]
    assert [sum(isinstance(m, nn.LocalResponseNorm) for m in network.modules()) for network in networks] == [2, 1]


def test_pictures_too_small_for_cnn_m_are_refused():
    with pytest.raises(ConfigError, match="too small"):
        build("temporal_stream", spec={"size": (40, 40)})


def test_published_filters_are_averaged_over_the_colours_and_repeated(monkeypatch):
    filters = {}
    original = BackboneSource._model

    def published(source: BackboneSource) -> nn.Module:
        model = original(source)
        filters["rgb"] = next(m for m in model.modules() if isinstance(m, nn.Conv2d)).weight.detach().clone()
        return model

    monkeypatch.setattr(BackboneSource, "_model", published)
    source = BackboneSource("test_resnet", pretrained=False, weights=None)
    spec = VARIANTS["temporal_stream"].input.with_(size=(64, 64), clip_len=3)
    monkeypatch.setattr("kinema.models.backbone.load_backbone_weights", lambda *_: None)
    network = TemporalStream(spec, 5, BackboneSource("test_resnet", weights="published.pth"))
    first = next(m for m in network.modules() if isinstance(m, nn.Conv2d)).weight
    assert first.shape[1] == 6
    for channel in range(6):
        assert torch.allclose(first[:, channel], filters["rgb"].mean(dim=1))
    fresh = next(m for m in TemporalStream(spec, 5, source).modules() if isinstance(m, nn.Conv2d)).weight
    assert not torch.allclose(fresh[:, 0], fresh[:, 1])


def test_a_backbone_normalises_colours_as_published_and_flow_as_flow():
    network = build_without_weights("two_stream", backbone="vit_tiny_patch16_224", num_classes=3)
    assert network.spec.mean == (0.5, 0.5, 0.5, 128 / 255, 128 / 255)
    assert build_without_weights("temporal_stream", backbone="resnet18", num_classes=3).spec.num_channels == 2


# Learning


def moving(count: int, seed: int, size: int = 48, still: bool = False) -> tuple[Tensor, Tensor]:
    """Clips uint8 [b 5 1 h w]: a frame of a texture, and its flow, as it moves left, right, up or down."""
    rng = np.random.default_rng(seed)
    dis = measure("dis")
    clips, targets = [], rng.integers(4, size=count)
    for target in targets:
        coarse = rng.uniform(0, 255, (12, 12)).astype(np.float32)
        frame = np.repeat(np.kron(coarse, np.ones((4, 4), np.float32))[..., None], 3, axis=2).astype(np.uint8)
        step = int(rng.integers(1, 4))
        shift = [(0, -step), (0, step), (-step, 0), (step, 0)][0 if still else target]
        following = np.roll(frame, (0, 0) if still else shift, axis=(0, 1))
        channels = np.concatenate([frame, quantise(dis(frame, following))], axis=2)
        clips.append(torch.from_numpy(channels).permute(2, 0, 1)[:, None])
    return torch.stack(clips), torch.from_numpy(targets)


def accuracy_after_learning(name: str, channels: slice, steps: int = 40, still: bool = False) -> float:
    torch.manual_seed(0)
    network = build(name, num_classes=4, spec={"clip_len": 1, "size": (48, 48)}, width=8, depths=(1, 1))
    clips, targets = moving(96, 0, still=still)
    fresh, wanted = moving(64, 1, still=still)
    seen, unseen = (normalize(part[:, channels], network.spec) for part in (clips, fresh))
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for step in range(steps):
        rows = torch.arange(32) + 32 * (step % 3)
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(seen[rows]), targets[rows]).backward()
        optimizer.step()
    with torch.no_grad():
        return float((network.eval()(unseen).argmax(1) == wanted).float().mean())


def test_one_field_of_flow_tells_directions_and_one_frame_does_not():
    assert accuracy_after_learning("temporal_stream_small", slice(3, 5)) >= 0.9
    assert accuracy_after_learning("two_stream_small", slice(0, 5)) >= 0.9
    assert accuracy_after_learning("single_frame_small", slice(0, 3)) <= 0.5
    assert accuracy_after_learning("temporal_stream_small", slice(3, 5), still=True) <= 0.5
