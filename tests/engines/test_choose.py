"""OpenVINO in torch's place: the same scores, converted once, and torch where anything is wrong."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from kinema.engines import choose as engine
from kinema.engines.choose import OpenVinoScorer, open_scorer
from kinema.engines.openvino import core
from kinema.engines.options import EngineOptions
from kinema.engines.parity import largest_difference, probe_clips
from kinema.engines.scorer import Scorer
from kinema.errors import MissingExtra, UnknownName, UsageError
from kinema.inference.predictor import Predictor
from kinema.models import build
from kinema.models.network import Network
from kinema.weights.checkpoint import ModelCard

pytest.importorskip("openvino")

pytestmark = [pytest.mark.openvino, pytest.mark.usefixtures("home")]


def make(name: str = "slow_fusion_tiny", seed: int = 0, **card: object) -> tuple[Network, ModelCard]:
    """A network whose scores are far from equal."""
    torch.manual_seed(seed)
    network = build(name, num_classes=3, spec={"clip_len": 4, "size": (32, 32)}).eval()
    with torch.no_grad():
        for parameter in network.classifier.parameters():
            parameter.mul_(50)
    return network, ModelCard.of(network, ("a", "b", "c"), **card)


@pytest.fixture
def conversions(monkeypatch) -> list[str]:
    """The names of networks that were converted."""
    done: list[str] = []
    trace = engine.trace

    def counted(network: Network, *others, **options):
        done.append(network.variant)
        return trace(network, *others, **options)

    monkeypatch.setattr(engine, "trace", counted)
    return done


@pytest.mark.parametrize("multi_label", [False, True])
def test_openvino_gives_the_scores_of_torch(multi_label: bool):
    network, card = make(multi_label=multi_label)
    scorer = open_scorer(network, card, EngineOptions(engine="openvino", precision="f32", batch_size=2))
    exact = Scorer(network, device="cpu", precision="f32")
    assert isinstance(scorer, OpenVinoScorer)
    for count in (1, 2, 5):
        clips = probe_clips(network.spec, count)
        np.testing.assert_allclose(scorer(clips), exact(clips), rtol=1e-4, atol=1e-4)
    assert np.ptp(exact(clips)) > 0.1


def test_bfloat16_is_used_on_request():
    network, card = make()
    rough = open_scorer(network, card, EngineOptions(engine="openvino", precision="bf16"))
    exact = open_scorer(network, card, EngineOptions(engine="openvino", precision="f32"))
    assert largest_difference(exact, network, card) < 1e-5
    has_bf16 = "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")  # else OpenVINO computes in f32
    low, high = (1e-5, 0.03) if has_bf16 else (0.0, 1e-5)
    assert low < largest_difference(rough, network, card) < high


def test_network_with_an_answer_at_each_frame_gives_it_here_too():
    network, card = make("conv_gru_small", task="frame")
    scorer = open_scorer(network, card, EngineOptions(engine="openvino", precision="f32"))
    clips = probe_clips(network.spec, 2)
    exact = Scorer(network, task="frame", device="cpu", precision="f32")
    assert scorer(clips).shape == (2, 4, 3)
    np.testing.assert_allclose(scorer(clips), exact(clips), rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(scorer.in_torch().clip_logits(clips), exact.clip_logits(clips))


def test_other_weights_and_number_formats_are_other_graphs():
    def key(seed: int = 0, precision: str = "f32", **card: object) -> str:
        network, about = make(seed=seed, **card)
        return engine.graph_key(Scorer(network, device="cpu", precision=precision), about)

    assert key() == key()
    assert len({key(), key(seed=1), key(precision="bf16"), key(task="frame")}) == 4


@pytest.mark.parametrize("engine_name", ["torch", "openvino", "auto"])
def test_int8_is_a_matter_of_files(engine_name: str):
    with pytest.raises(
        UsageError, match="int8 needs clips to calibrate its ranges: --precision int8: make a file with"
    ):
        open_scorer(*make(), EngineOptions(engine=engine_name, device="cpu", precision="int8"))


def test_where_scores_differ_torch_computes_and_says_so(monkeypatch, conversions, caplog):
    monkeypatch.setattr(engine, "largest_difference", lambda *_: 0.25)
    network, card = make()
    for _ in range(2):
        assert isinstance(open_scorer(network, card, EngineOptions(engine="openvino", precision="f32")), Scorer)
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert "engine: torch, not OpenVINO; OpenVINO's scores differ from torch's by 0.25" in warnings[0]
    assert len(conversions) == 1, "what was refused is remembered"


def test_scores_that_are_no_numbers_are_refused(monkeypatch):
    monkeypatch.setattr(engine, "largest_difference", lambda *_: float("nan"))
    assert isinstance(open_scorer(*make(), EngineOptions(engine="openvino", precision="f32")), Scorer)


def test_network_that_no_graph_can_hold_runs_in_torch(monkeypatch, caplog):
    network, card = make()
    forward = type(network).forward
    monkeypatch.setattr(type(network), "forward", lambda self, clip: forward(self, clip) if clip.sum() > 0 else None)
    assert isinstance(open_scorer(network, card, EngineOptions(engine="auto", device="cpu", precision="f32")), Scorer)
    assert "engine: torch, not OpenVINO; cannot be made into a graph" in caplog.text


def test_auto_takes_torch_where_openvino_is_missing(monkeypatch, caplog):
    caplog.set_level(logging.DEBUG, "kinema")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert isinstance(open_scorer(*make(), EngineOptions(engine="auto", device="cpu")), Scorer)
    assert "engine: not OpenVINO, which is not installed" in caplog.text
    with pytest.raises(MissingExtra, match=r"kinema\[openvino\]"):
        open_scorer(*make(), EngineOptions(engine="openvino"))


def test_engines_that_cannot_be_are_refused():
    with pytest.raises(UnknownName, match="Did you mean openvino"):
        open_scorer(*make(), EngineOptions(engine="openvinno"))
    with pytest.raises(UsageError, match="give --device cpu"):
        open_scorer(*make(), EngineOptions(engine="openvino", device="cuda"))
    with pytest.raises(UnknownName, match="it was removed; use --engine openvino or --engine torch"):
        open_scorer(*make(), EngineOptions(engine="winograd"))


def test_predictor_still_has_its_layers():
    network, card = make()
    predictor = Predictor(network, card, precision="f32", engine="openvino")
    assert isinstance(predictor.scorer, OpenVinoScorer)
    assert predictor.network is network


@pytest.mark.parametrize(("engine", "readers"), [("torch", [1, 1, 2, 4]), ("openvino", [1, 2, 2, 4])])
def test_with_openvino_two_videos_are_decoded_at_once(engine, readers, monkeypatch):
    predictor = Predictor(*make(), device="cpu", precision="f32", engine=engine)
    found = []
    for cores in (1, 2, 4, 16):
        monkeypatch.setattr("kinema.inference.predictor.num_cores", lambda cores=cores: cores)
        found.append(predictor._num_threads())
    assert found == readers
