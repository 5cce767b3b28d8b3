"""What every streaming network promises: frame by frame is the same as all at once, and the future does not matter."""

from __future__ import annotations

import pytest
import torch

from kinema.models import VARIANTS, build
from kinema.models.network import StreamingNetwork

NUM_FRAMES = 7


def is_streaming(name: str) -> bool:
    variant = VARIANTS[name]
    return any(
        isinstance(maker, type) and issubclass(maker, StreamingNetwork)
        for maker in (variant.builder, variant.on_backbone)
    )


STREAMING = [name for name in VARIANTS if is_streaming(name)]


@pytest.fixture(scope="module", params=STREAMING)
def network(request) -> StreamingNetwork:
    torch.manual_seed(0)
    name = request.param
    on_backbone = VARIANTS[name].on_backbone is not None
    arguments = {"backbone": "test_resnet"} if on_backbone else {}
    network = build(name, num_classes=3, spec={"clip_len": NUM_FRAMES, "size": (64, 64)}, **arguments).eval()
    rng = torch.Generator().manual_seed(1)
    for module in network.modules():  # statistics of a trained network: what is padded with zeros shows
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.copy_(torch.randn(module.num_features, generator=rng) / 10)
            module.running_var.copy_(torch.rand(module.num_features, generator=rng) + 0.5)
    torch.nn.init.normal_(network.classifier.weight)  # as large as after training
    return network


@pytest.fixture
def clip(network) -> torch.Tensor:
    return torch.randn(2, *network.spec.shape, generator=torch.Generator().manual_seed(2))


def step_by_step(network: StreamingNetwork, clip: torch.Tensor) -> torch.Tensor:
    state, logits = network.start(len(clip)), []
    with torch.no_grad():
        for frame in clip.unbind(2):
            one, state = network.step(frame, state)
            logits.append(one)
    return torch.stack(logits, dim=1)


def test_there_are_streaming_networks():
    assert {"causal_small", "causal_a0"} <= set(STREAMING)
    assert len(STREAMING) >= 4


def test_frame_by_frame_is_the_same_as_all_at_once(network, clip):
    with torch.no_grad():
        at_once = network.frame_logits(clip)
        whole = network(clip)
    one_by_one = step_by_step(network, clip)
    assert at_once.shape == (2, NUM_FRAMES, 3)
    scale = at_once.abs().max()
    assert scale > 1e-3
    torch.testing.assert_close(one_by_one / scale, at_once / scale, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(whole / scale, at_once[:, -1] / scale, rtol=1e-5, atol=1e-5)


def test_the_future_changes_nothing_and_the_past_does(network, clip):
    with torch.no_grad():
        before = network.frame_logits(clip)
        changed = clip.clone()
        changed[:, :, 4] += 3.0
        after = network.frame_logits(changed)
    scale = before.abs().max()
    torch.testing.assert_close(after[:, :4] / scale, before[:, :4] / scale, rtol=1e-5, atol=1e-5)
    assert all((after[:, t] - before[:, t]).abs().max() > 1e-4 * scale for t in range(4, NUM_FRAMES))


def test_streams_of_a_batch_do_not_see_each_other(network, clip):
    together = step_by_step(network, clip)
    alone = step_by_step(network, clip[1:])
    scale = together.abs().max()
    torch.testing.assert_close(together[1:] / scale, alone / scale, rtol=1e-5, atol=1e-5)


def test_a_step_leaves_the_state_it_was_given(network, clip):
    with torch.no_grad():
        _, state = network.step(clip[:, :, 0], network.start(2))
        kept = {name: value.clone() for name, value in state.items()}
        first, _ = network.step(clip[:, :, 1], state)
        again, _ = network.step(clip[:, :, 1], state)
    assert torch.equal(first, again)
    assert all(torch.equal(state[name], kept[name]) for name in kept)
    assert all(len(value) == 2 for value in state.values())


def test_what_is_kept_has_a_fixed_size(network, clip):
    shapes = []
    state = network.start(2)
    with torch.no_grad():
        for frame in clip.unbind(2):
            _, state = network.step(frame, state)
            shapes.append({name: value.shape for name, value in state.items()})
    assert all(shape == shapes[0] for shape in shapes)
