import math

import pytest
import torch
from torch import nn

from kinema import models
from kinema.errors import ConfigError
from kinema.training.losses import ClipLoss, balanced_weights
from kinema.training.optim import Schedule, build_optimizer, gradient_norm
from kinema.training.options import FitOptions
from kinema.training.transfer import freeze, set_training


def tiny() -> models.Network:
    return models.build("slow_fusion_tiny", num_classes=3, spec={"size": (32, 32), "clip_len": 8})


def test_warmup_rises_and_cosine_falls_to_zero():
    schedule = Schedule(FitOptions(epochs=10, warmup_epochs=2, lr=1.0), steps_per_epoch=5)
    rates = [schedule.rate(step) for step in range(51)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[10] == pytest.approx(1.0)
    assert rates[30] == pytest.approx(0.5)
    assert rates[50] == pytest.approx(0.0, abs=1e-12)


def test_plateau_cuts_after_three_epochs_without_gain():
    schedule = Schedule(FitOptions(schedule="plateau", warmup_epochs=0, lr=1.0), steps_per_epoch=1)
    for value in (0.5, 0.4, 0.4):
        schedule.end_epoch(value)
    assert schedule.rate(9) == pytest.approx(1.0)
    schedule.end_epoch(0.5)
    assert schedule.rate(9) == pytest.approx(0.2)
    restored = Schedule(schedule.options, 1)
    restored.restore(schedule.state())
    assert restored.rate(9) == schedule.rate(9)


def test_biases_and_norms_do_not_decay_and_the_backbone_learns_slower():
    network = tiny()
    optimizer = build_optimizer(network, FitOptions(weight_decay=0.1, backbone_lr=0.5, lr=1.0))
    Schedule(FitOptions(lr=1.0, warmup_epochs=0), 1).apply(optimizer, 0)
    for group in optimizer.param_groups:
        assert all((p.ndim > 1) == (group["weight_decay"] > 0) for p in group["params"])
    head = {id(p) for p in network.classifier.parameters()}
    rates = {(id(p) in head): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert rates == {True: 1.0, False: 0.5}
    assert sum(len(g["params"]) for g in optimizer.param_groups) == len(list(network.parameters()))


def test_gradients_are_scaled_to_the_norm_asked_for():
    weight = nn.Parameter(torch.tensor([3.0, 4.0]))
    weight.grad = torch.tensor([3.0, 4.0])
    assert gradient_norm([weight], 1.0) == pytest.approx(5.0)
    assert weight.grad.norm() == pytest.approx(1.0, rel=1e-4)


def test_head_only_leaves_everything_else_and_its_batch_norms_unchanged():
    network = tiny()
    frozen = freeze(network, FitOptions(transfer="head"))
    set_training(network, frozen)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = build_optimizer(network, FitOptions(lr=0.1))
    clip = torch.randn(4, *network.spec.shape)
    features = network.features(clip)
    assert not features.requires_grad, "frozen stages must not be back-propagated through"
    network(clip).sum().backward()
    optimizer.step()
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


def test_last_stage_opens_exactly_one_stage():
    network = tiny()
    frozen = freeze(network, FitOptions(transfer="last:1"))
    stages = network.stages()
    assert len(frozen) == len(stages) - 1
    assert all(p.requires_grad for p in stages[-1][1].parameters())
    assert not any(p.requires_grad for _, stage in stages[:-1] for p in stage.parameters())


def test_more_stages_than_there_are_is_an_error_that_names_them():
    network = tiny()
    with pytest.raises(ConfigError, match=network.stages()[0][0]):
        freeze(network, FitOptions(transfer="last:99"))


@pytest.mark.parametrize("spelling", ["last:x", "heads", "last"])
def test_a_misspelt_transfer_is_an_error_at_once(spelling):
    with pytest.raises(ConfigError, match="all, head or last:N"):
        FitOptions(transfer=spelling)


def test_cross_entropy_by_hand_with_smoothing():
    logits = torch.tensor([[2.0, 0.0]])
    p = math.exp(2) / (math.exp(2) + 1)
    expected = -(0.95 * math.log(p) + 0.05 * math.log(1 - p))
    assert float(ClipLoss(2, smoothing=0.1)(logits, torch.tensor([0]))) == pytest.approx(expected, rel=1e-5)


def test_several_labels_use_one_sigmoid_a_class():
    loss = ClipLoss(2, multi_label=True)(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 1.0]]))
    assert float(loss) == pytest.approx(math.log(2), rel=1e-5)


def test_balanced_weights_weigh_an_average_example_one():
    counts = [30, 10, 0]
    weights = balanced_weights(counts)
    assert weights[1] == pytest.approx(3 * float(weights[0]))
    assert weights[2] == 0
    assert sum(c * float(w) for c, w in zip(counts, weights, strict=True)) == pytest.approx(sum(counts))


def test_the_layer_that_joins_frames_learns_with_the_head():
    spec = {"clip_len": 2, "size": (32, 32), "sampling": "spread"}
    network = models.build("late_fusion", num_classes=3, backbone="test_resnet.r160_in1k", spec=spec)
    freeze(network, FitOptions(transfer="head"))
    assert all(p.requires_grad for p in network.joining.parameters())
    assert not any(p.requires_grad for p in network.backbone.parameters())
