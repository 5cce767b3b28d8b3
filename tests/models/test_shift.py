"""TSM by hand and against a second implementation; frame by frame as at once; TSN's consensus; what shifts learn."""

from __future__ import annotations

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.inspection.summary import summarize
from kinema.models import build, build_without_weights
from kinema.models.network import Network
from kinema.models.shift import FROM_TSM, Shift, shifted_convs
from kinema.models.state_dict import check_fit
from kinema.weights.convert import convert


def numbers(rows: list[list[float]]) -> Tensor:
    """A clip [1 c t 1 1] from its channels."""
    return torch.tensor(rows, dtype=torch.float32)[None, :, :, None, None]


def test_shift_moves_channels_as_computed_by_hand():
    clip = numbers([[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]])
    by_hand = numbers([[2, 3, 4, 0], [0, 5, 6, 7], [9, 10, 11, 12]])
    assert torch.equal(Shift(1)(clip), by_hand)
    assert torch.equal(Shift(1)(clip[:, :, :1]), numbers([[0], [0], [9]]))


# Against a second implementation, with the names of the published files


class ShiftedConv(nn.Module):
    """Lin et al.'s shift in its plainest form, for one clip length."""

    def __init__(self, net: nn.Module, length: int) -> None:
        super().__init__()
        self.net, self.length = net, length

    def forward(self, x: Tensor) -> Tensor:
        clip = x.reshape(-1, self.length, *x.shape[1:])
        moved = clip.shape[2] // 8
        out = clip.clone()
        for t in range(self.length):
            out[:, t, :moved] = clip[:, t + 1, :moved] if t + 1 < self.length else 0
            out[:, t, moved : 2 * moved] = clip[:, t - 1, moved : 2 * moved] if t else 0
        return self.net(out.reshape(x.shape))


class Reference(nn.Module):
    def __init__(self, name: str, length: int, every: int = 1) -> None:
        super().__init__()
        import torchvision

        self.base_model = torchvision.models.get_model(name)
        self.base_model.fc = nn.Identity()
        self.new_fc = nn.Linear(2048 if name == "resnet101" else 512, 5)
        for stage in (getattr(self.base_model, f"layer{index}") for index in (1, 2, 3, 4)):
            for block in list(stage)[::every]:
                block.conv1 = ShiftedConv(block.conv1, length)

    def forward(self, clip: Tensor) -> Tensor:
        frames = clip.transpose(1, 2).flatten(0, 1)
        return self.new_fc(self.base_model(frames)).reshape(len(clip), -1, 5).mean(1)


@pytest.mark.parametrize(("name", "every"), [("resnet18", 1), ("resnet101", 2)])
def test_weights_of_the_reference_give_its_logits(name: str, every: int):
    torch.manual_seed(0)
    reference = Reference(name, 4, every).eval()
    for module in reference.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.8, 1.2)
    ours = build("tsm", backbone=name, num_classes=5, spec={"size": (64, 64), "clip_len": 4}).eval()
    state = convert({f"module.{key}": value for key, value in reference.state_dict().items()}, FROM_TSM)
    check_fit(state, ours.state_dict(), "reference", "")
    ours.load_state_dict(state)
    clip = torch.randn(2, 3, 4, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(clip), reference(clip), rtol=1e-4, atol=1e-5)


def test_shifts_stand_in_residual_branches():
    def chosen(name: str, **how) -> dict[str, int]:
        with torch.device("meta"):
            return dict(shifted_convs(timm.create_model(name), **how))

    assert chosen("resnet50")["layer2.0.conv1"] == 256 // 8
    assert (len(chosen("resnet50")), len(chosen("resnet101")), len(chosen("resnet50", every=2))) == (16, 18, 9)
    mobile = chosen("mobilenetv2_100")  # where size changes there is no shortcut, and nothing shifts
    assert len(mobile) == 10
    assert mobile["blocks.1.1.conv_pw"] == 24 // 8
    assert "blocks.1.0.conv_pw" not in mobile
    for name in (
        "regnetx_002",
        "convnext_atto",
        "mobilenetv3_small_050",
        "efficientnet_b0",
        "seresnet18",
        "densenet121",
    ):
        assert len(chosen(name)) >= 7


@pytest.mark.parametrize("backbone", ["vgg11", "inception_v3", "vit_tiny_patch16_224", "alexnet"])
def test_backbones_without_residual_branches_are_refused(backbone: str):
    with pytest.raises(ConfigError, match="no residual branches"), torch.device("meta"):
        build("tsm", backbone=backbone, num_classes=2)


@torch.no_grad()
def test_without_shifted_channels_tsm_is_tsn():
    spec, clip = {"size": (48, 48)}, torch.randn(2, 3, 4, 48, 48)
    arguments = {"backbone": "test_resnet", "backbone_args": {"zero_init_last": False}, "num_classes": 3, "spec": spec}
    tsn, tsm = build("tsn", **arguments).eval(), build("tsm", **arguments).eval()
    tsm.load_state_dict({key: tsn.state_dict()[key.replace("conv1.conv.", "conv1.")] for key in tsm.state_dict()})
    assert (tsm(clip) - tsn(clip)).abs().max() > 1e-6
    for module in tsm.modules():
        if isinstance(module, Shift):
            module.moved = 0
    torch.testing.assert_close(tsm(clip), tsn(clip), rtol=1e-4, atol=1e-6)


# Streams


# Consensus


# What every use needs


@pytest.mark.parametrize("name", ["tsm", "tsm_causal"])
def test_export_takes_any_number_of_clips(name: str):
    network = build(name, backbone="test_resnet", num_classes=2, spec={"size": (32, 32), "clip_len": 4}).eval()
    batch = {0: torch.export.Dim("batch", min=1, max=8)}
    program = torch.export.export(network, (torch.randn(2, 3, 4, 32, 32),), dynamic_shapes=(batch,))
    clips = torch.randn(3, 3, 4, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(clips), network(clips), rtol=1e-4, atol=1e-5)


def test_networks_run_in_half_precision():
    for name in ("tsm", "tsm_causal"):
        network = build(name, backbone="test_resnet", num_classes=2, spec={"size": (32, 32)})
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(torch.randn(2, 3, 4, 32, 32))
        logits.float().sum().backward()
        assert logits.isfinite().all()


def test_counts_and_receptive_fields():
    counts = {  # parameters with 400 classes, GMACs of the clip: a shift costs nothing
        "tsm_resnet50": (24_327_632, 32.70),
        "tsm": (2_736_272, 2.396),
        "tsm_causal": (2_736_272, 4.793),
        "tsn_small": (362_800, 0.2388),
        "tsm_small": (362_800, 0.2388),
        "tsm_causal_small": (362_800, 0.4775),
    }
    reach = {}
    for name, (params, gmacs) in counts.items():
        summary = summarize(build_without_weights(name, num_classes=400))
        assert summary.params == params
        assert summary.macs / 1e9 == pytest.approx(gmacs, rel=1e-3)
        reach[name] = [layer.receptive_field[0] for layer in summary.layers if layer.type.endswith("Shift")]
    assert reach["tsm_small"] == [3, 5, 7]
    assert reach["tsm_causal_small"] == [2, 3, 4]
    assert reach["tsm"] == [3, 5, 7, 8]  # the whole clip
    assert reach["tsn_small"] == []


# Motion


def moving_clips(count: int, seed: int, length: int = 8, size: int = 32) -> tuple[Tensor, Tensor]:
    """Soft noise that runs left (0) or right (1) from a random start and wraps around: no frame tells which."""
    made = torch.Generator().manual_seed(seed)
    noise = F.avg_pool2d(torch.randn(count, 3, size + 4, size + 4, generator=made), 5, stride=1) * 4
    labels = torch.arange(count) % 2
    steps = torch.where(labels == 1, 3, -3)
    clips = [
        torch.stack([frame.roll(int(step) * t, dims=2) for t in range(length)], dim=1)
        for frame, step in zip(noise, steps, strict=True)
    ]
    return torch.stack(clips), labels


def accuracy(network: Network, clips: Tensor, labels: Tensor) -> float:
    with torch.no_grad():
        return (network.eval()(clips).argmax(1) == labels).float().mean().item()


@pytest.mark.parametrize(
    ("name", "learns"),
    [("tsm_small", True), ("tsm_causal_small", True), ("inflated_small", True), ("tsn_small", False)],
)
def test_what_sees_neighbours_tells_the_direction(name: str, learns: bool):
    torch.manual_seed(0)
    network = build(name, num_classes=2, spec={"size": (32, 32)}, width=16, dropout=0.0).train()
    steps = 60 if learns else 20
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps)
    for step in range(steps):
        clips, labels = moving_clips(32, seed=step)
        optimizer.zero_grad()
        F.cross_entropy(network(clips), labels).backward()
        optimizer.step()
        schedule.step()
    clips, labels = moving_clips(100, seed=1000)
    shuffled = clips[:, :, torch.randperm(clips.shape[2], generator=torch.Generator().manual_seed(1))]
    if learns:
        assert accuracy(network, clips, labels) >= 0.9
    assert accuracy(network, shuffled if learns else clips, labels) <= 0.7
