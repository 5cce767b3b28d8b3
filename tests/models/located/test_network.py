"""Both networks that locate actions: times in seconds, windows without seams, checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kinema.errors import ConfigError, UsageError
from kinema.models import VARIANTS, build
from kinema.models.located.head import Truth
from kinema.models.located.network import SegmentNetwork, positions_at, seconds_at
from kinema.weights.checkpoint import ModelCard, load_checkpoint, save_checkpoint

ENCODER = {"variant": "slow_fusion_tiny", "arguments": {"num_classes": 5}}
NAMES = ("segments_one_stage", "segments_two_stage")


def make(name: str, **arguments: object) -> SegmentNetwork:
    torch.manual_seed(0)
    small = {"width": 16, "levels": 3, "stem": 1, "heads": 2, "attention": 5}
    spec = VARIANTS["slow_fusion_tiny"].input.to_json()
    network = build(name, num_classes=3, spec=spec, encoder=ENCODER, **{**small, **arguments}).eval()
    assert isinstance(network, SegmentNetwork)
    return network


def features_of(network: SegmentNetwork, count: int, step_s: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    rows = np.random.default_rng(0).standard_normal((count, network.feature_dim)).astype(np.float32)
    starts = np.arange(count) * step_s
    return rows, np.stack([starts, starts + 2.0], axis=1)


@pytest.mark.parametrize("name", NAMES)
def test_segments_are_sorted_and_within_the_video(name: str):
    network = make(name)
    for count in (1, 2, 7, 60):
        rows, spans_s = features_of(network, count)
        found = network.locate(rows, spans_s)
        assert found.times_s.shape == (len(found), 2)
        assert len(found.classes) == len(found.scores) == len(found) > 0
        assert (found.times_s[:, 0] < found.times_s[:, 1]).all()
        assert found.times_s.min() >= 0
        assert found.times_s.max() <= spans_s.max()
        assert (np.diff(found.scores) <= 0).all()
        assert set(found.classes.tolist()) <= {0, 1, 2}


@pytest.mark.parametrize("name", NAMES)
def test_times_follow_the_spans_of_the_features(name: str):
    network = make(name)
    rows, spans_s = features_of(network, 40)
    plain = network.locate(rows, spans_s)
    moved = network.locate(rows, spans_s * 3 + 100)
    np.testing.assert_allclose(moved.times_s, plain.times_s * 3 + 100)
    np.testing.assert_array_equal(moved.classes, plain.classes)


@pytest.mark.parametrize("name", NAMES)
def test_windows_leave_no_seams(name: str):
    whole, cut = make(name, vote=2.0), make(name, vote=2.0, window=32)
    rows, spans_s = features_of(whole, 160)
    # All candidates, before those of each window are limited and suppressed.
    with torch.no_grad():
        (expected,) = whole._windows(rows, spans_s)
        parts = list(cut._windows(rows, spans_s))
    assert len(parts) == 5
    if name == "segments_one_stage":
        assert sum(map(len, parts)) == 160 * 3 + 80 * 3 + 40 * 3
    times_s, scores = np.concatenate([p.times_s for p in parts]), np.concatenate([p.scores for p in parts])
    for time_s, score in zip(expected.times_s[:50], expected.scores[:50], strict=True):
        same = np.abs(times_s - time_s).max(axis=1) + np.abs(scores - score)
        assert same.min() < 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_loss_is_finite_and_trains_every_layer_but_the_encoder(name: str):
    network = make(name).train()
    features, mask = torch.randn(3, 50, network.feature_dim), torch.ones(3, 50, dtype=torch.bool)
    mask[1, 20:] = False
    nothing = Truth(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long))
    several = Truth(torch.tensor([[3.0, 7.0], [5.0, 30.0], [5.0, 30.0]]), torch.tensor([0, 1, 2]))
    network.training_loss(features, mask, [nothing, nothing, several]).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None and not name.startswith("encoder")]
    assert not without
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)
    assert network.training_loss(features, mask, [nothing] * 3).isfinite()


@pytest.mark.parametrize("name", NAMES)
def test_loss_of_a_batch_is_that_of_its_sequences(name: str):
    network = make(name)
    features, mask = torch.randn(2, 24, network.feature_dim), torch.ones(2, 24, dtype=torch.bool)
    mask[1, 12:] = False
    truth = [Truth(torch.tensor([[3.0, 7.0]]), torch.tensor([0])), Truth(torch.tensor([[1.0, 9.5]]), torch.tensor([2]))]
    joint = network.training_loss(features, mask, truth)
    first = network.training_loss(features[:1], mask[:1], truth[:1])
    second = network.training_loss(features[1:, :12], mask[1:, :12], truth[1:])
    torch.testing.assert_close(joint, first + second, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_checkpoint_holds_the_encoder(name: str, tmp_path: Path):
    network = make(name)
    card = ModelCard.of(network, ("a", "b", "c"), multi_label=True)
    save_checkpoint(tmp_path / "best", network, card)
    loaded, _ = load_checkpoint(tmp_path / "best")
    clip = torch.randn(2, *network.spec.shape)
    torch.testing.assert_close(loaded.features(clip), network.features(clip))
    assert loaded(clip).shape == (2, 3)
    rows, spans_s = features_of(network, 20)
    np.testing.assert_allclose(loaded.locate(rows, spans_s).times_s, network.locate(rows, spans_s).times_s)


def test_stages_hold_every_parameter_once():
    network = make("segments_two_stage")
    held = [id(parameter) for _, stage in network.stages() for parameter in stage.parameters()]
    own = [id(p) for name, p in network.named_parameters() if not name.startswith("classifier.")]
    assert sorted(held) == sorted(own)


def test_positions_and_seconds_of_uneven_spans():
    spans_s = np.array([[0.0, 2.0], [1.0, 3.0], [5.0, 7.0], [5.5, 7.5]])
    times_s = np.array([-3.0, 0.5, 1.5, 4.0, 6.2, 9.0])
    np.testing.assert_allclose(seconds_at(positions_at(times_s, spans_s), spans_s), times_s)
    np.testing.assert_allclose(positions_at(np.array([2.0, 6.0, 6.5]), spans_s), [1, 2, 3])
    # Beyond the ends by the usual distance, 1 s, and not by that of the last two features.
    np.testing.assert_allclose(positions_at(np.array([0.0, 8.5]), spans_s), [-1, 5])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows, spans: (rows[:, :-1], spans), "are not"),
        (lambda rows, spans: (rows[:-1], spans), "are not"),
        (lambda rows, spans: (rows[:0], spans[:0]), "no feature"),
        (lambda rows, spans: (rows, spans[::-1].copy()), "order of time"),
        (lambda rows, spans: (rows, spans[:, ::-1].copy()), "start before its end"),
        (lambda rows, spans: (rows * np.nan, spans), "finite"),
    ],
)
def test_features_of_something_else_are_refused(change, message: str):
    network = make("segments_one_stage")
    with pytest.raises(UsageError, match=message):
        network.locate(*change(*features_of(network, 10)))


def test_a_network_needs_an_encoder():
    with pytest.raises(ConfigError, match="encoder"):
        build("segments_one_stage", num_classes=3)
