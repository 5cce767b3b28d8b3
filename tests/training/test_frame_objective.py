"""Learning a label at each step: what counts in the loss, and that a change of motion is found when it happens."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from kinema.clips.transforms import normalize
from kinema.datasets.clips import Batch
from kinema.errors import ConfigError
from kinema.labels import IGNORED
from kinema.models import build
from kinema.models.network import FramewiseNetwork, Network
from kinema.training.frame_objective import FrameObjective, check_framewise
from kinema.training.options import FitOptions

PLAIN = FitOptions(label_smoothing=0.0)
CLIP_LEN = 12


def tiny(name: str = "conv_gru_small", **arguments) -> Network:
    torch.manual_seed(0)
    spec = {"clip_len": CLIP_LEN, "size": [32, 32], "sampling": "dense"}
    return build(name, num_classes=2, spec=spec, dropout=0.0, **arguments)


def batch_of(clips: Tensor, targets: Tensor) -> Batch:
    return Batch(clips, targets, torch.arange(len(clips)))


def draw_turns(count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A blob on its way to the left (0) or right (1) that turns round at some time; the target of each frame."""
    clips, targets = np.zeros((count, 3, CLIP_LEN, 32, 32), np.uint8), np.zeros((count, CLIP_LEN), np.int64)
    rows, columns = np.mgrid[:32, :32] - 16
    for clip, target in zip(clips, targets, strict=True):
        blob = 255 * np.exp(-(rows**2 + columns**2) / 50) * rng.uniform(0.6, 1, (3, 1, 1))
        first, turn = int(rng.integers(2)), int(rng.integers(3, CLIP_LEN - 3))
        target[:] = np.where(np.arange(CLIP_LEN) < turn, first, 1 - first)
        across, down = rng.integers(32, size=2)
        for time, label in enumerate(target):
            across += 3 if label else -3
            clip[:, time] = np.roll(blob, (down, across), (1, 2))
    return torch.from_numpy(clips), torch.from_numpy(targets)


def turning_points(classes: Tensor) -> Tensor:
    """For each row of two classes, the time at which one change would explain it best."""
    before = torch.cat([torch.zeros(len(classes), 1), classes.float().cumsum(dim=1)], dim=1)
    after = before[:, -1:] - before
    times = torch.arange(classes.shape[1] + 1)
    rising = (times - before) + after
    return torch.maximum(rising, classes.shape[1] - rising)[:, 1:-1].argmax(dim=1) + 1


def test_turning_points_are_those_that_explain_most():
    classes = torch.tensor([[0, 0, 0, 1, 1], [1, 0, 0, 0, 0], [0, 1, 0, 1, 1]])
    assert turning_points(classes).tolist()[:2] == [3, 1]
    assert turning_points(classes).tolist()[2] in (1, 3)


def test_many_to_many_finds_when_a_motion_turns():
    network = tiny(widths=[8, 16], stem=[8, 4])
    objective = FrameObjective(network, PLAIN)
    module = objective.module(network).train()
    optimizer = torch.optim.AdamW(network.parameters(), 5e-3)
    rng = np.random.default_rng(0)
    for _ in range(60):
        optimizer.zero_grad()
        objective.learn(module, batch_of(*draw_turns(16, rng)), rng).loss.backward()
        optimizer.step()

    clips, targets = draw_turns(64, rng)
    assert isinstance(network, FramewiseNetwork)
    with torch.no_grad():
        said = network.eval().frame_logits(normalize(clips, network.spec)).argmax(dim=2)

    errors = (turning_points(said) - turning_points(targets)).abs()
    assert (errors <= 2).float().mean() >= 0.8
    # The first frame of a clip cannot tell; after a turn it takes a frame to show.
    assert (said == targets)[:, 1:].float().mean() >= 0.8


def test_the_loss_is_the_mean_over_the_steps_that_count():
    network = tiny("conv_rnn_small")
    clips, targets = draw_turns(3, np.random.default_rng(1))
    targets[0, 3:] = IGNORED
    targets[2] = IGNORED
    objective = FrameObjective(network.eval(), FitOptions(label_smoothing=0.2), torch.tensor([0.5, 1.5]))

    lesson = objective.learn(objective.module(network), batch_of(clips, targets), np.random.default_rng())

    logits = network.frame_logits(normalize(clips, network.spec))
    counted = torch.cat([logits[0, :3], logits[1]]), torch.cat([targets[0, :3], targets[1]])
    losses = cross_entropy(*counted, weight=torch.tensor([0.5, 1.5]), label_smoothing=0.2, reduction="sum")
    torch.testing.assert_close(lesson.loss, losses / len(counted[0]))
    right = (logits.argmax(dim=2) == targets).float()
    assert lesson.hits == pytest.approx(float(right[0].sum() / 3 + right[1].mean()))


def test_a_batch_without_a_label_teaches_nothing_and_does_no_harm():
    network = tiny("conv_rnn_small")
    clips, targets = draw_turns(2, np.random.default_rng(1))
    objective = FrameObjective(network, PLAIN)
    module = objective.module(network).train()
    for loss in (
        objective.learn(module, batch_of(clips, torch.full_like(targets, IGNORED)), np.random.default_rng()).loss,
        objective.nothing(module),
    ):
        network.zero_grad()
        loss.backward()
        assert float(loss.detach()) == 0
        assert all(p.grad is not None and not p.grad.any() for p in network.parameters())


def test_what_steps_cannot_learn_with_is_refused():
    check_framewise(tiny(), PLAIN)
    with pytest.raises(ConfigError, match="no answer at each frame"):
        check_framewise(build("slow_fusion_tiny", num_classes=2), PLAIN)
    with pytest.raises(ConfigError, match="mixup"):
        check_framewise(tiny(), FitOptions(mixup=0.2))
    with pytest.raises(ConfigError, match="sampler"):
        check_framewise(tiny(), FitOptions(balance="sampler"))
