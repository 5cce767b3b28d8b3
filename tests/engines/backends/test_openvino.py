"""Graphs in OpenVINO: the scores of torch, or a refusal that makes torch compute."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from kinema.engines.backends import openvino as engine
from kinema.engines.backends.openvino import OpenVinoScorer
from kinema.engines.choose import open_scorer
from kinema.engines.openvino import core
from kinema.engines.options import EngineOptions
from kinema.engines.parity import largest_difference, probe_clips
from kinema.engines.scorer import Scorer

pytest.importorskip("openvino")

pytestmark = [pytest.mark.openvino, pytest.mark.usefixtures("home")]


@pytest.mark.parametrize("multi_label", [False, True])
def test_openvino_gives_the_scores_of_torch(make, multi_label: bool):
    network, card = make(multi_label=multi_label)
    scorer = open_scorer(network, card, EngineOptions(engine="openvino", precision="f32", batch_size=2))
    exact = Scorer(network, device="cpu", precision="f32")
    assert isinstance(scorer, OpenVinoScorer)
    for count in (1, 2, 5):
        clips = probe_clips(network.spec, count)
        np.testing.assert_allclose(scorer(clips), exact(clips), rtol=1e-4, atol=1e-4)
    assert np.ptp(exact(clips)) > 0.1


def test_bfloat16_is_used_on_request(make):
    network, card = make()
    rough = open_scorer(network, card, EngineOptions(engine="openvino", precision="bf16"))
    exact = open_scorer(network, card, EngineOptions(engine="openvino", precision="f32"))
    assert largest_difference(exact, network, card) < 1e-5
    has_bf16 = "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")  # else OpenVINO computes in f32
    low, high = (1e-5, 0.03) if has_bf16 else (0.0, 1e-5)
    assert low < largest_difference(rough, network, card) < high


def test_network_with_an_answer_at_each_frame_gives_it_here_too(make):
    network, card = make("conv_gru_small", task="frame")
    scorer = open_scorer(network, card, EngineOptions(engine="openvino", precision="f32"))
    clips = probe_clips(network.spec, 2)
    exact = Scorer(network, task="frame", device="cpu", precision="f32")
    assert scorer(clips).shape == (2, 4, 3)
    np.testing.assert_allclose(scorer(clips), exact(clips), rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(scorer.in_torch().clip_logits(clips), exact.clip_logits(clips))


def test_other_weights_and_number_formats_are_other_graphs(make):
    def key(seed: int = 0, precision: str = "f32", **card: object) -> str:
        network, about = make(seed=seed, **card)
        return engine.graph_key(Scorer(network, device="cpu", precision=precision), about)

    assert key() == key()
    assert len({key(), key(seed=1), key(precision="bf16"), key(task="frame")}) == 4


def test_where_scores_differ_torch_computes_and_says_so(make, monkeypatch, conversions, caplog):
    monkeypatch.setattr(engine, "largest_difference", lambda *_: 0.25)
    network, card = make()
    for _ in range(2):
        assert isinstance(open_scorer(network, card, EngineOptions(engine="openvino", precision="f32")), Scorer)
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert "engine: torch, not OpenVINO; OpenVINO's scores differ from torch's by 0.25" in warnings[0]
    assert len(conversions) == 1, "what was refused is remembered"


def test_scores_that_are_no_numbers_are_refused(make, monkeypatch):
    monkeypatch.setattr(engine, "largest_difference", lambda *_: float("nan"))
    assert isinstance(open_scorer(*make(), EngineOptions(engine="openvino", precision="f32")), Scorer)
