"""The choice of an engine: what is requested or usual here, and torch where another engine cannot run a network."""

from __future__ import annotations

import logging

import pytest

from kinema.engines.backends.openvino import OpenVinoScorer
from kinema.engines.choose import open_scorer
from kinema.engines.options import EngineOptions
from kinema.engines.scorer import Scorer
from kinema.errors import MissingExtra, UnknownName, UsageError
from kinema.inference.predictor import Predictor

pytest.importorskip("openvino")

pytestmark = [pytest.mark.openvino, pytest.mark.usefixtures("home")]


@pytest.mark.parametrize("engine_name", ["torch", "openvino", "auto"])
def test_int8_is_a_matter_of_files(make, engine_name: str):
    with pytest.raises(
        UsageError, match="int8 needs clips to calibrate its ranges: --precision int8: make a file with"
    ):
        open_scorer(*make(), EngineOptions(engine=engine_name, device="cpu", precision="int8"))


def test_network_that_no_graph_can_hold_runs_in_torch(make, monkeypatch, caplog):
    network, card = make()
    forward = type(network).forward
    monkeypatch.setattr(type(network), "forward", lambda self, clip: forward(self, clip) if clip.sum() > 0 else None)
    assert isinstance(open_scorer(network, card, EngineOptions(engine="auto", device="cpu", precision="f32")), Scorer)
    assert "engine: torch, not OpenVINO; cannot be made into a graph" in caplog.text


def test_auto_takes_torch_where_openvino_is_missing(make, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG, "kinema")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert isinstance(open_scorer(*make(), EngineOptions(engine="auto", device="cpu")), Scorer)
    assert "engine: not OpenVINO, which is not installed" in caplog.text
    with pytest.raises(MissingExtra, match=r"kinema\[openvino\]"):
        open_scorer(*make(), EngineOptions(engine="openvino"))


def test_engines_that_cannot_be_are_refused(make):
    with pytest.raises(UnknownName, match="Did you mean openvino"):
        open_scorer(*make(), EngineOptions(engine="openvinno"))
    with pytest.raises(UsageError, match="give --device cpu"):
        open_scorer(*make(), EngineOptions(engine="openvino", device="cuda"))
    with pytest.raises(UnknownName, match="it was removed; use --engine openvino or --engine torch"):
        open_scorer(*make(), EngineOptions(engine="winograd"))


def test_predictor_still_has_its_layers(make):
    network, card = make()
    predictor = Predictor(network, card, precision="f32", engine="openvino")
    assert isinstance(predictor.scorer, OpenVinoScorer)
    assert predictor.network is network


@pytest.mark.parametrize(("engine", "readers"), [("torch", [1, 1, 2, 4]), ("openvino", [1, 2, 2, 4])])
def test_with_openvino_two_videos_are_decoded_at_once(make, engine, readers, monkeypatch):
    predictor = Predictor(*make(), device="cpu", precision="f32", engine=engine)
    found = []
    for cores in (1, 2, 4, 16):
        monkeypatch.setattr("kinema.inference.predictor.num_cores", lambda cores=cores: cores)
        found.append(predictor._num_threads())
    assert found == readers
