"""Converted graphs are cached: each network is converted once, and again if the cache is damaged."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kinema.engines.backends.openvino import OpenVinoScorer
from kinema.engines.choose import open_scorer
from kinema.engines.options import EngineOptions
from kinema.engines.parity import largest_difference, probe_clips
from kinema.engines.scorer import Scorer

pytest.importorskip("openvino")

pytestmark = [pytest.mark.openvino, pytest.mark.usefixtures("home")]


def test_network_is_converted_once(make, conversions, caplog):
    caplog.set_level(logging.INFO, "kinema")
    network, card = make()
    first = open_scorer(network, card, EngineOptions(engine="openvino", precision="f32"))
    second = open_scorer(network, card, EngineOptions(engine="openvino", precision="f32"))
    clips = probe_clips(network.spec, 1)
    assert conversions == ["slow_fusion_tiny"]
    np.testing.assert_array_equal(first(clips), second(clips))
    assert caplog.text.count("converting slow_fusion_tiny") == 1
    assert caplog.text.count("engine: OpenVINO") == 2


@pytest.mark.parametrize("file", ["graph.bin", "graph.json"])
def test_a_damaged_graph_is_converted_again(make, file: str, home: Path, conversions, caplog):
    network, card = make()
    open_scorer(network, card, EngineOptions(engine="openvino", precision="f32"))
    (path,) = home.glob(f"engines/*/{file}")
    path.write_bytes(path.read_bytes()[:100])
    scorer = open_scorer(network, card, EngineOptions(engine="openvino", precision="f32"))
    assert len(conversions) == 2
    assert "damaged" in caplog.text
    assert largest_difference(scorer, network, card) < 1e-5
    open_scorer(network, card, EngineOptions(engine="openvino", precision="f32"))
    assert len(conversions) == 2


@pytest.mark.parametrize("error", [MemoryError("std::bad_alloc"), RuntimeError("you can't allocate 9 bytes")])
def test_too_little_memory_is_not_remembered(make, error, monkeypatch, caplog):
    network, card = make()
    with monkeypatch.context() as patch:

        def fails(*_, **__):
            raise error

        patch.setattr("openvino.convert_model", fails)
        assert isinstance(open_scorer(network, card, EngineOptions(engine="openvino", precision="f32")), Scorer)
    assert "engine: torch, not OpenVINO; cannot be made into" in caplog.text
    assert isinstance(open_scorer(network, card, EngineOptions(engine="openvino", precision="f32")), OpenVinoScorer)


PROCESS = """
import logging, sys
import torch
from kinema.engines.choose import open_scorer
from kinema.engines.options import EngineOptions
from kinema.engines.parity import largest_difference
from kinema.models import build
from kinema.weights.checkpoint import ModelCard

logging.basicConfig(level=logging.INFO)
torch.manual_seed(0)
network = build("slow_fusion_tiny", num_classes=3, spec={"clip_len": 4, "size": (32, 32)}).eval()
card = ModelCard.of(network, ("a", "b", "c"))
sys.stdin.readline()
scorer = open_scorer(network, card, EngineOptions(engine="openvino", precision="f32"))
print(type(scorer).__name__, largest_difference(scorer, network, card) < 1e-5)
"""


def test_two_processes_at_once_convert_once(home: Path):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen([sys.executable, "-c", PROCESS], text=True, **pipes) for _ in range(2)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [out for out, _ in outputs] == ["OpenVinoScorer True\n"] * 2, outputs
    assert sum("converting slow_fusion_tiny" in error for _, error in outputs) == 1
    assert len(list(home.glob("engines/*/graph.xml"))) == 1
