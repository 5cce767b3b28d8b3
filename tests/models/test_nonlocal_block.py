"""Non-local blocks: their sums, against PyTorchVideo's and by hand; put into networks of all kinds."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from kinema.errors import ConfigError, UnknownName
from kinema.inspection.summary import summarize
from kinema.models import build, build_without_weights
from kinema.models.network import Network
from kinema.models.nonlocal_block import NonLocalBlock, insert_nonlocal
from kinema.weights.checkpoint import ModelCard, load_checkpoint, save_checkpoint

HOSTS: dict[str, dict[str, object]] = {
    "slow_fusion_tiny": {},
    "slow_fusion_small": {"width": 8, "spec": {"size": (32, 32)}},
    "r2plus1d_18": {"width": 1 / 8, "spec": {"clip_len": 8, "size": (40, 48)}},
    "i3d_r50": {"width": 8, "spec": {"size": (64, 64)}},
    "slowfast_small": {"width": 8, "spec": {"size": (32, 32)}},
    "slowfast_r50": {"width": 8, "spec": {"size": (64, 64)}},
    "x3d_xs": {"width": 0.5, "depth": 1.0, "spec": {"size": (64, 64)}},
    "s3d": {"width": 1 / 8, "spec": {"clip_len": 9, "size": (50, 64)}},
}


def make(name: str, **arguments: object) -> Network:
    torch.manual_seed(0)
    return build(name, num_classes=3, dropout=0.0, **{**HOSTS[name], **arguments})


def clips_for(network: Network) -> torch.Tensor:
    return torch.randn(2, *network.spec.shape, generator=torch.Generator().manual_seed(1))


def awake(block: NonLocalBlock) -> NonLocalBlock:
    """As after some training: nothing is zero."""
    torch.manual_seed(0)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.3)
    return block.eval()


@pytest.mark.parametrize(("mode", "theirs"), [("embedded_gaussian", "softmax"), ("dot_product", "dot_product")])
def test_sums_are_those_of_pytorchvideo(mode: str, theirs: str):
    pytest.importorskip("pytorchvideo")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pytorchvideo.layers.nonlocal_net import create_nonlocal
    ours = awake(NonLocalBlock(6, mode, pooled=False))
    reference = create_nonlocal(dim_in=6, dim_inner=3, pool_size=None, instantiation=theirs).eval()
    own = {name.replace("conv_", ""): name for name in reference.state_dict()}
    reference.load_state_dict({own[name]: value for name, value in ours.state_dict().items()})
    maps = torch.randn(2, 6, 3, 4, 5)
    torch.testing.assert_close(ours(maps), reference(maps), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["embedded_gaussian", "gaussian", "dot_product"])
def test_sums_are_those_of_the_paper(mode: str):
    block = awake(NonLocalBlock(4, mode))
    maps = torch.randn(1, 4, 2, 4, 6)
    query = block.theta(maps)[0].flatten(1)
    key, value = (nn.functional.max_pool3d(view(maps), (1, 2, 2))[0].flatten(1) for view in (block.phi, block.g))
    alike = query.T @ key
    weights = alike / alike.shape[1] if mode == "dot_product" else (alike / len(query) ** 0.5).softmax(1)
    expected = maps + block.norm(block.out((weights @ value.T).T.reshape(1, 2, 2, 4, 6)))
    torch.testing.assert_close(block(maps), expected, rtol=1e-4, atol=1e-5)


def test_a_place_sees_the_farthest_place_of_the_farthest_frame():
    block = awake(NonLocalBlock(4))
    maps = torch.randn(1, 4, 5, 6, 6, requires_grad=True)
    block(maps)[0, :, 0, 0, 0].sum().backward()
    assert maps.grad is not None
    assert maps.grad[0, :, 4, 4:].any()


def test_maps_of_one_place_are_not_pooled_away():
    assert NonLocalBlock(4)(torch.zeros(1, 4, 2, 1, 3)).shape == (1, 4, 2, 1, 3)


@pytest.mark.parametrize("mode", ["embedded_gaussian", "gaussian", "dot_product"])
@pytest.mark.parametrize("name", HOSTS)
def test_put_into_a_network_it_changes_nothing_and_then_learns(name: str, mode: str):
    network = make(name)
    for module in network.modules():  # residual blocks that start as their shortcuts would hide gradients
        if isinstance(module, nn.BatchNorm3d) and not module.weight.any():
            nn.init.ones_(module.weight)
    clips, names = clips_for(network), set(network.state_dict())
    before = network.eval()(clips)
    insert_nonlocal(network, stages=(2,), mode=mode)
    assert torch.equal(network(clips), before)
    assert names < set(network.state_dict())

    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    for _ in range(2):  # the first step moves the last norm only
        optimizer.zero_grad()
        nn.functional.cross_entropy(network.train()(clips), torch.tensor([0, 1])).backward()
        optimizer.step()
    added = [p for m in network.modules() if isinstance(m, NonLocalBlock) for p in m.parameters()]
    assert added
    bias_of_keys = 1 if mode == "embedded_gaussian" else 0  # softmax does not see what all keys share
    assert sum(p.grad is None or not p.grad.any() for p in added) <= bias_of_keys * len(added) / 10


def test_blocks_belong_to_the_stage_behind_whose_blocks_they_stand():
    network = insert_nonlocal(make("slow_fusion_small"), stages=(2, 3))
    held = [sum(isinstance(m, NonLocalBlock) for m in stage.modules()) for _, stage in network.stages()]
    assert held == [0, 0, 1, 1]


def test_of_two_pathways_the_slow_one_gets_the_blocks():
    network = insert_nonlocal(make("slowfast_r50"), stages=(2, 3))
    places = [name for name, module in network.named_modules() if isinstance(module, NonLocalBlock)]
    assert places == [f"blocks.{stage}.slow.{block}.nonlocal_block" for stage, block in
                      ((1, 1), (1, 3), (2, 1), (2, 3), (2, 5))]  # fmt: skip


def test_a_checkpoint_builds_the_blocks_again(tmp_path):
    network = insert_nonlocal(make("r2plus1d_18"), stages=(2, 3), mode="dot_product").eval()
    network.arguments |= {"width": HOSTS["r2plus1d_18"]["width"]}
    for module in network.modules():
        if isinstance(module, NonLocalBlock):
            awake(module)
    save_checkpoint(tmp_path / "c", network, ModelCard.of(network, ("a", "b", "c")))
    loaded, _ = load_checkpoint(tmp_path / "c")
    clips = clips_for(network)
    assert torch.equal(loaded(clips), network(clips))
    assert sum(isinstance(module, NonLocalBlock) for module in loaded.modules()) == 2


def test_weights_without_blocks_load_into_a_network_with_them():
    plain, extended = make("i3d_r50"), make("i3d_r50", nonlocal_stages=[2, 3])
    missing = extended.load_state_dict(plain.state_dict(), strict=False)
    assert missing.unexpected_keys == []
    assert all(".nonlocal_block." in name for name in missing.missing_keys)
    clips = clips_for(plain)
    assert torch.equal(extended.eval()(clips), plain.eval()(clips))


def test_export_keeps_the_blocks():
    network = make("slow_fusion_tiny", nonlocal_stages=(1, 2)).eval()
    for module in network.modules():
        if isinstance(module, NonLocalBlock):
            awake(module)
    clips = clips_for(network)
    exported = torch.export.export(network, (clips,)).module()
    torch.testing.assert_close(exported(clips), network(clips))


def test_what_cannot_have_blocks_says_so():
    with pytest.raises(ValueError, match=r"no stage 9 .* 0 stem, 1 stage1, 2 stage2"):
        insert_nonlocal(make("slow_fusion_tiny"), stages=(9,))
    with pytest.raises(ValueError, match="already"):
        insert_nonlocal(make("slow_fusion_tiny", nonlocal_stages=(1,)), stages=(1,))
    with pytest.raises(ConfigError, match="mode"):
        make("slow_fusion_tiny", nonlocal_stages=(1,), nonlocal_mode="gauss")
    with pytest.raises(ConfigError, match="has no maps over time and space"):
        build("late_fusion", backbone="test_resnet", spec={"size": (64, 64)}, nonlocal_stages=(1,))
    with pytest.raises(UnknownName, match="Did you mean nonlocal_stages"):
        make("slow_fusion_tiny", nonlocal_stage=(1,))


def test_i3d_with_five_blocks_counts_as_published():
    network = build_without_weights("i3d_r50_nonlocal")
    places = [name for name, module in network.named_modules() if isinstance(module, NonLocalBlock)]
    assert places == [f"blocks.{stage}.{block}.nonlocal_block" for stage, block in
                      ((1, 1), (1, 3), (2, 1), (2, 3), (2, 5))]  # fmt: skip
    summary = summarize(network, (3, 32, 256, 256))
    assert summary.params == 35_401_936
    assert summary.macs / 1e9 == pytest.approx(59.3, rel=0.01)
    plain = build_without_weights("i3d_r50_nonlocal", nonlocal_stages=())
    assert summarize(plain, (3, 32, 256, 256)).macs / 1e9 == pytest.approx(43.5, rel=0.01)


def test_small_network_tells_directions_of_motion(learn_motion):
    torch.manual_seed(0)
    network = build("nonlocal_small", num_classes=2, width=16, spec={"size": (48, 48)})
    ordered, shuffled = learn_motion(network)
    assert ordered >= 0.9
    assert shuffled <= 0.7


def test_small_network_is_cheap():
    summary = summarize(build_without_weights("nonlocal_small"))
    assert summary.params < 1e6
    assert summary.macs < 0.3e9
