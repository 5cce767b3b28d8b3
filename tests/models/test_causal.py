"""The causal network: counts, what it remembers, and that it learns from the order of frames."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.inspection.summary import summarize
from kinema.models import build, build_without_weights
from kinema.models.causal import RunningMean


def test_a0_is_about_the_size_of_movinet_a0_stream():
    cost = summarize(build_without_weights("causal_a0", num_classes=600))
    assert cost.params == pytest.approx(3.1e6, rel=0.12)
    assert cost.macs == pytest.approx(2.7e9, rel=0.15)  # 50 frames


def test_the_small_one_costs_little_a_frame():
    cost = summarize(build_without_weights("causal_small"))
    assert cost.params < 1e6
    assert cost.macs / cost.input[1] < 0.05e9


@pytest.mark.parametrize("memory", [2, 3, 8, 50])
def test_a_running_mean_is_the_mean_until_it_forgets_exponentially(memory):
    values = torch.randn(2, 30, 4, generator=torch.Generator().manual_seed(0))
    means = RunningMean(memory)(values)
    plain = values.cumsum(1) / torch.arange(1, 31)[:, None]
    torch.testing.assert_close(means[:, :memory], plain[:, :memory])
    for t in range(memory, 30):
        torch.testing.assert_close(means[:, t], means[:, t - 1] + (values[:, t] - means[:, t - 1]) / memory)


def test_a_running_mean_step_by_step_is_the_same():
    mean, values = RunningMean(5), torch.randn(2, 40, 3, generator=torch.Generator().manual_seed(0))
    state = mean.start(2, 3, values)
    for t, expected in enumerate(mean(values).unbind(1)):
        state = mean.step(values[:, t], state)
        torch.testing.assert_close(state["mean"], expected)


def test_a_running_mean_forgets_in_very_long_streams():
    mean = RunningMean(4)
    values = torch.cat([torch.full((1, 3000, 1), 100.0), torch.zeros(1, 60, 1)], dim=1)
    means = mean(values)
    assert means.isfinite().all()
    assert means[0, 2999, 0] == pytest.approx(100)
    assert means[0, -1, 0] < 1e-4


def test_what_a_stream_keeps_does_not_grow():
    network = build("causal_small", num_classes=2).eval()
    state = network.start(1)
    sizes = {name: value.shape for name, value in state.items()}
    frame = torch.zeros(1, 3, *network.spec.size)
    with torch.no_grad():
        for _ in range(20):
            _, state = network.step(frame, state)
    assert {name: value.shape for name, value in state.items()} == sizes


def test_a_memory_too_short_is_refused():
    with pytest.raises(ConfigError, match="at least 2 frames"):
        build("causal_small", memory=1)


def moving_blobs(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A blob goes left (0) or right (1) over 8 frames of 48 x 48, from anywhere, around the edge: no frame tells which."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    rows, columns = (torch.randint(0, 48, (count,), generator=rng) for _ in range(2))
    y, x = torch.arange(48)[:, None], torch.arange(48)[None, :]
    clips = torch.randn(count, 3, 8, 48, 48, generator=rng) * 0.1
    for i in range(count):
        for t in range(8):
            column = (columns[i] + (2 * labels[i] - 1) * 5 * t) % 48
            near = ((x - column + 24) % 48 - 24) ** 2 + ((y - rows[i] + 24) % 48 - 24) ** 2
            clips[i, :, t] += 2 * torch.exp(-near / 30)
    return clips, labels


def test_it_learns_which_way_things_move():
    torch.manual_seed(0)
    network = build("causal_small", num_classes=2, dropout=0.0, spec={"clip_len": 8, "size": (48, 48)})
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for step in range(40):
        clips, labels = moving_blobs(16, seed=step)
        loss = nn.functional.cross_entropy(network(clips), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    clips, labels = moving_blobs(64, seed=1000)
    network.eval()
    with torch.no_grad():
        right = network(clips).argmax(1) == labels
        shuffled = clips[:, :, torch.randperm(8, generator=torch.Generator().manual_seed(0))]
        right_shuffled = network(shuffled).argmax(1) == labels
    assert right.float().mean() >= 0.9
    assert right_shuffled.float().mean() <= 0.7
