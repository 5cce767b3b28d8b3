"""What tests of several families share: motion that no single frame tells, and references with weights all at random."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

if TYPE_CHECKING:
    from kinema.models.network import Network

Learn = Callable[..., tuple[float, float]]


def draw_motion(count: int, shape: tuple[int, ...], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Textured blobs that start anywhere and move left (0) or right (1), coming back in on the other side."""
    channels, clip_len, height, width = shape
    labels = torch.arange(count) % 2
    rows, columns = torch.meshgrid(torch.arange(height) - height / 2, torch.arange(width) - width / 2, indexing="ij")
    blob = torch.exp(-(rows**2 + columns**2) / (2 * (width / 5) ** 2))
    clips = torch.empty(count, *shape)
    for clip, label in zip(clips, labels, strict=True):
        texture = torch.randn(channels, height, width, generator=generator) * 0.3 + 1.5
        start = [int(torch.randint(size, (), generator=generator)) for size in (height, width)]
        step = (width // 12 or 1) * (1 if label else -1)
        for time in range(clip_len):
            clip[:, time] = torch.roll(texture * blob, (start[0], start[1] + step * time), (1, 2))
    return clips - clips.mean(), labels


def accuracy(network: Network, clips: Tensor, labels: Tensor) -> float:
    with torch.no_grad():
        return float((network.eval()(clips).argmax(1) == labels).float().mean())


@pytest.fixture
def learn_motion() -> Learn:
    """Train a network on two directions of motion; how often it is right on new clips, and on these with frames shuffled."""

    def learn(network: Network, steps: int = 40, rate: float = 3e-3, batch: int = 16) -> tuple[float, float]:
        generator = torch.Generator().manual_seed(0)
        shape = network.spec.shape
        optimizer = torch.optim.AdamW(network.parameters(), rate, weight_decay=0.01)
        for _ in range(steps):
            clips, labels = draw_motion(batch, shape, generator)
            optimizer.zero_grad()
            nn.functional.cross_entropy(network.train()(clips), labels).backward()
            optimizer.step()
        clips, labels = draw_motion(64, shape, generator)
        mixed = torch.stack([clip[:, torch.randperm(shape[1], generator=generator)] for clip in clips])
        return accuracy(network, clips, labels), accuracy(network, mixed, labels)

    return learn


@pytest.fixture
def randomize() -> Callable[[nn.Module], nn.Module]:
    """Give a reference weights that let the input through to the logits, and random batch statistics."""

    def scatter(module: nn.Module, seed: int = 0) -> nn.Module:
        generator = torch.Generator().manual_seed(seed)
        for layer in module.modules():
            if isinstance(layer, nn.Conv3d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                for tensor in (layer.weight, layer.running_var):
                    tensor.data.uniform_(0.5, 1.5, generator=generator)
                for tensor in (layer.bias, layer.running_mean):
                    tensor.data.normal_(0, 0.2, generator=generator)
        return module.eval()

    return scatter


@pytest.fixture
def check_same_logits() -> Callable[..., None]:
    """Compare two networks on two clips of coarse noise, whose logits must differ: else all networks would be the same."""

    def check(ours: nn.Module, theirs: nn.Module, shape: tuple[int, ...]) -> None:
        generator = torch.Generator().manual_seed(0)
        coarse = torch.randn(2, shape[0], 4, 5, 5, generator=generator)
        clips = nn.functional.interpolate(coarse, shape[1:]) + torch.randn(2, *shape, generator=generator) / 2
        with torch.no_grad():
            expected = theirs(clips)
            assert (expected[0] - expected[1]).norm() > 0.05 * expected.norm()
            level = float(expected.abs().mean())
            torch.testing.assert_close(ours(clips), expected, rtol=1e-4, atol=1e-4 * level)

    return check


@pytest.fixture
def published():
    """A network as its publisher would give it: with its own classes, and batch norms that have seen something."""
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=6)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return model.eval()


@pytest.fixture
def weights_file(published, tmp_path):
    path = tmp_path / "published.safetensors"
    save_file(
        {name: value.half() if value.is_floating_point() else value for name, value in published.state_dict().items()},
        path,
    )
    return str(path)
