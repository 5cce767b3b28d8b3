"""Counts and receptive fields against the lecture's table, published numbers and hand-worked cases."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn

from kinema.inspection.summary import Summary, summarize
from kinema.models import build, build_without_weights
from kinema.models.network import Network
from kinema.types import InputSpec

TABLE = {  # output size and receptive field of conv, pool, conv, global pool
    "lecture_late_fusion": [
        ((12, 20, 64, 64), (1, 3, 3)),
        ((12, 20, 16, 16), (1, 6, 6)),
        ((24, 20, 16, 16), (1, 14, 14)),
        ((24,), (20, 64, 64)),
    ],
    "lecture_early_fusion": [
        ((12, 64, 64), (20, 3, 3)),
        ((12, 16, 16), (20, 6, 6)),
        ((24, 16, 16), (20, 14, 14)),
        ((24,), (20, 64, 64)),
    ],
    "lecture_3d_cnn": [
        ((12, 20, 64, 64), (3, 3, 3)),
        ((12, 5, 16, 16), (6, 6, 6)),
        ((24, 5, 16, 16), (14, 14, 14)),
        ((24,), (20, 64, 64)),
    ],
}


class Toy(Network):
    """A network of given layers with a body of its own."""

    def __init__(self, clip_len: int, size: int, body: str = "", **layers: nn.Module) -> None:
        super().__init__(InputSpec(clip_len=clip_len, size=(size, size)), 4, 2)
        self.layers = nn.ModuleDict(layers)
        self.body = body

    def features(self, clip: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b f"]:
        return getattr(self, self.body)(clip)

    def stages(self) -> list[tuple[str, nn.Module]]:
        return [("layers", self.layers)]

    def residual(self, clip: Tensor) -> Tensor:
        x = self.layers["stem"](clip)
        return self.layers["last"](x + self.layers["branch"](x)).mean((2, 3, 4))

    def recurrent(self, clip: Tensor) -> Tensor:
        b, _, t, _, _ = clip.shape
        x = self.layers["frame"](clip.transpose(1, 2).reshape(b * t, 3, *clip.shape[3:])).mean((2, 3))
        return self.layers["rnn"](x.reshape(b, t, -1))[0][:, 1]

    def tokens(self, clip: Tensor) -> Tensor:
        x = self.layers["embed"](clip)
        return torch.cat([torch.zeros(len(x), x.shape[1], 1, device=x.device), x.flatten(2)], dim=2)

    def pooling_tokens(self, clip: Tensor) -> Tensor:
        x = self.tokens(clip)[..., 1:].unflatten(2, (clip.shape[2], *(side // 4 for side in clip.shape[3:])))
        return self.layers["pool"](x).mean((2, 3, 4))

    def sliding_over_tokens(self, clip: Tensor) -> Tensor:
        return self.layers["slide"](self.tokens(clip)).mean(2)

    def attending(self, clip: Tensor) -> Tensor:
        x = self.layers["embed"](clip.mean((3, 4)).transpose(1, 2))
        return nn.functional.scaled_dot_product_attention(x, x, x)[:, 0]


def layer_of(summary: Summary, name: str):
    return next(layer for layer in summary.layers if layer.name == name)


@pytest.mark.parametrize("name", TABLE)
def test_lecture_table_comes_out(name: str):
    layers = summarize(build(name)).layers[:-1]  # the classifier is not in the table
    assert [(layer.output, layer.receptive_field) for layer in layers] == TABLE[name]


@pytest.mark.parametrize(
    ("backbone", "params", "gmacs"),
    [
        ("alexnet", 61.10, 0.71),
        ("vgg16", 138.36, 15.47),
        ("resnet18", 11.69, 1.81),
        ("resnet34", 21.80, 3.66),
        ("resnet50", 25.56, 4.09),  # v1.5, whose 3x3 filters stride; the paper's, whose 1x1 filters do, takes 3.8
        ("resnet101", 44.55, 7.80),
        ("resnet152", 60.19, 11.51),
        ("vit_base_patch16_224", 86.57, 17.56),
    ],
)
def test_published_counts_come_out(backbone: str, params: float, gmacs: float):
    summary = summarize(build_without_weights("single_frame", backbone=backbone, num_classes=1000))
    assert summary.params / 1e6 == pytest.approx(params, abs=0.006)
    assert summary.macs / 1e9 == pytest.approx(gmacs, abs=0.006)
    assert summary.flops == 2 * summary.macs


@pytest.mark.parametrize("name", ["slow_fusion_small", "late_fusion_tiny", "early_fusion_multires_bn"])
def test_layers_add_up_to_the_whole(name: str):
    summary = summarize(build_without_weights(name))
    assert sum(layer.params for layer in summary.layers) == summary.params
    assert sum(layer.macs for layer in summary.layers) == summary.macs


def test_a_shortcut_does_not_hide_the_longer_path():
    network = Toy(
        5,
        32,
        "residual",
        stem=nn.Conv3d(3, 4, (1, 3, 3), (1, 2, 2), (0, 1, 1)),
        branch=nn.Sequential(nn.Conv3d(4, 4, (3, 3, 3), padding=1), nn.Conv3d(4, 4, (1, 3, 3), padding=(0, 1, 1))),
        last=nn.Conv3d(4, 4, 1),
    )
    assert layer_of(summarize(network), "layers.last").receptive_field == (3, 11, 11)  # 3 + 2*2 + 2*2


def test_frames_in_the_batch_are_one_frame_until_they_are_joined():
    summary = summarize(build_without_weights("late_fusion", backbone="test_resnet", spec={"clip_len": 6}))
    towers = [layer for layer in summary.layers if layer.name.startswith("backbone")]
    assert {layer.receptive_field[0] for layer in towers} == {1}
    assert layer_of(summary, "joining.0").receptive_field == (6, 160, 160)


def test_early_fusion_sees_all_frames_at_once():
    summary = summarize(build_without_weights("early_fusion", backbone="test_resnet", spec={"clip_len": 6}))
    assert summary.layers[0].receptive_field == (6, 3, 3)


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3)])
def test_recurrent_layers_are_counted_and_see_the_past(kind: type[nn.Module], gates: int):
    network = Toy(7, 16, "recurrent", frame=nn.Conv2d(3, 8, 3), rnn=kind(8, 4, batch_first=True))
    rnn = layer_of(summarize(network), "layers.rnn")
    assert rnn.macs == 7 * gates * 4 * (8 + 4)
    assert rnn.receptive_field == (7, 16, 16)


def test_attention_is_counted():
    network = Toy(6, 8, "attending", embed=nn.Linear(3, 4))
    summary = summarize(network)
    assert summary.macs == 6 * 3 * 4 + 2 * 6 * 6 * 4 + 4 * 2  # embedding, attention, classifier
    assert layer_of(summary, "classifier").receptive_field == (6, 8, 8)
    assert sum(layer.macs for layer in summary.layers) == summary.macs


def test_tokens_have_their_places_back_when_the_class_token_is_taken_off():
    embed, pool = nn.Conv3d(3, 4, (1, 4, 4), (1, 4, 4)), nn.Conv3d(4, 4, 3, padding=1)
    network = Toy(6, 32, "pooling_tokens", embed=embed, pool=pool)
    assert layer_of(summarize(network), "layers.pool").receptive_field == (3, 12, 12)
    layers = summarize(build_without_weights("mvit_v2_s")).layers
    assert [row.receptive_field for row in layers if ".0.attn.pool_" in row.name and row.macs] == [(7, 15, 15)] * 3


def test_a_window_over_places_in_no_simple_order_sees_them_all():
    embed = nn.Conv3d(3, 4, (1, 4, 4), (1, 4, 4))
    network = Toy(6, 32, "sliding_over_tokens", embed=embed, slide=nn.Conv1d(4, 4, 3))
    assert layer_of(summarize(network), "layers.slide").receptive_field == (6, 32, 32)


def test_summary_leaves_the_network_as_it_was():
    network = build("slow_fusion_tiny").train()
    network.stem.eval()
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    summarize(network)
    assert network.training
    assert not network.stem.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert all(torch.equal(weights[name], value) for name, value in network.state_dict().items())
