"""OpenVINO in torch's place: the same scores, converted once, and torch where anything is wrong."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from kinema.engines import choose as engine
from kinema.engines import openvino as openvino_graph
from kinema.engines.choose import OpenVinoScorer, open_scorer
from kinema.engines.parity import largest_difference, probe_clips
from kinema.engines.scorer import Scorer
from kinema.errors import MissingExtra, UnknownName, UsageError
from kinema.inference.predictor import Predictor
from kinema.models import build
from kinema.models.network import Network
from kinema.weights.checkpoint import ModelCard

pytest.importorskip("openvino")
pytestmark = [pytest.mark.openvino, pytest.mark.usefixtures("home")]


def make(name: str = "slow_fusion_tiny", seed: int = 0, **card: bool) -> tuple[Network, ModelCard]:
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
    scorer = open_scorer(network, card, engine="openvino", precision="f32", batch_size=2)
    exact = Scorer(network, device="cpu", precision="f32")
    assert isinstance(scorer, OpenVinoScorer)
    for count in (1, 2, 5):
        clips = probe_clips(network.spec, count)
        np.testing.assert_allclose(scorer(clips), exact(clips), rtol=1e-4, atol=1e-4)
    assert np.ptp(exact(clips)) > 0.1


def test_bfloat16_is_used_when_it_is_asked_for():
    network, card = make()
    rough = open_scorer(network, card, engine="openvino", precision="bf16")
    exact = open_scorer(network, card, engine="openvino", precision="f32")
    assert largest_difference(exact, network, card) < 1e-5 < largest_difference(rough, network, card) < 0.03


def test_network_with_an_answer_at_each_frame_gives_it_here_too():
    network, card = make("conv_gru_small", each_step=True)
    scorer = open_scorer(network, card, engine="openvino", precision="f32")
    clips = probe_clips(network.spec, 2)
    exact = Scorer(network, device="cpu", precision="f32")
    assert scorer.steps(clips).shape == (2, 4, 3)
    np.testing.assert_allclose(scorer.steps(clips), exact.steps(clips), rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(scorer(clips), exact(clips))


def test_network_is_converted_once(conversions, caplog):
    caplog.set_level(logging.INFO, "kinema")
    network, card = make()
    first = open_scorer(network, card, engine="openvino", precision="f32")
    second = open_scorer(network, card, engine="openvino", precision="f32")
    clips = probe_clips(network.spec, 1)
    assert conversions == ["slow_fusion_tiny"]
    np.testing.assert_array_equal(first(clips), second(clips))
    assert caplog.text.count("converting slow_fusion_tiny") == 1
    assert caplog.text.count("engine: OpenVINO") == 2


def test_other_weights_and_number_formats_are_other_graphs():
    def key(seed: int = 0, precision: str = "f32", **card: bool) -> str:
        network, about = make(seed=seed, **card)
        return engine.graph_key(Scorer(network, device="cpu", precision=precision), about)

    assert key() == key()
    assert len({key(), key(seed=1), key(precision="bf16"), key(each_step=True)}) == 4


def test_graphs_have_the_shape_of_whole_batches_and_of_single_clips(monkeypatch):
    shapes: list[int] = []
    compile_graph = openvino_graph.compile_graph

    def noted(model, precision):
        shapes.append(model.inputs[0].partial_shape[0].get_length())
        return compile_graph(model, precision)

    network, card = make()
    scorer = open_scorer(network, card, engine="openvino", precision="f32", batch_size=4)
    monkeypatch.setattr(openvino_graph, "compile_graph", noted)
    clips = probe_clips(network.spec, 10)
    found = [scorer(clips), scorer(clips[:1]), scorer(clips[:4])]
    assert shapes == [4, 1], "each is compiled once"
    for rows, count in zip(found, (10, 1, 4), strict=True):
        np.testing.assert_allclose(rows, found[0][:count], rtol=1e-4, atol=1e-5)
    exact = Scorer(network, device="cpu", precision="f32")
    np.testing.assert_allclose(found[0], exact(clips), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("engine_name", ["torch", "openvino", "auto"])
def test_int8_is_a_matter_of_files(engine_name: str):
    with pytest.raises(UsageError, match="int8 needs clips to find its ranges: --precision int8: make a file with"):
        open_scorer(*make(), engine=engine_name, device="cpu", precision="int8")


@pytest.mark.parametrize("file", ["graph.bin", "graph.json"])
def test_damaged_graph_is_made_again(file: str, home: Path, conversions, caplog):
    network, card = make()
    open_scorer(network, card, engine="openvino", precision="f32")
    (path,) = home.glob(f"engines/*/{file}")
    path.write_bytes(path.read_bytes()[:100])
    scorer = open_scorer(network, card, engine="openvino", precision="f32")
    assert len(conversions) == 2
    assert "damaged" in caplog.text
    assert largest_difference(scorer, network, card) < 1e-5
    open_scorer(network, card, engine="openvino", precision="f32")
    assert len(conversions) == 2


def test_where_scores_differ_torch_computes_and_says_so(monkeypatch, conversions, caplog):
    monkeypatch.setattr(engine, "largest_difference", lambda *_: 0.25)
    network, card = make()
    for _ in range(2):
        assert isinstance(open_scorer(network, card, engine="openvino", precision="f32"), Scorer)
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert "engine: torch, not OpenVINO; OpenVINO's scores differ from torch's by 0.25" in warnings[0]
    assert len(conversions) == 1, "what was refused is remembered"


@pytest.mark.parametrize("error", [MemoryError("std::bad_alloc"), RuntimeError("you can't allocate 9 bytes")])
def test_too_little_memory_is_not_remembered(error, monkeypatch, caplog):
    network, card = make()
    with monkeypatch.context() as patch:

        def fails(*_, **__):
            raise error

        patch.setattr("openvino.convert_model", fails)
        assert isinstance(open_scorer(network, card, engine="openvino", precision="f32"), Scorer)
    assert "engine: torch, not OpenVINO; cannot be made into" in caplog.text
    assert isinstance(open_scorer(network, card, engine="openvino", precision="f32"), OpenVinoScorer)


def test_scores_that_are_no_numbers_are_refused(monkeypatch):
    monkeypatch.setattr(engine, "largest_difference", lambda *_: float("nan"))
    assert isinstance(open_scorer(*make(), engine="openvino", precision="f32"), Scorer)


def test_network_that_no_graph_can_hold_runs_in_torch(monkeypatch, caplog):
    network, card = make()
    forward = type(network).forward
    monkeypatch.setattr(type(network), "forward", lambda self, clip: forward(self, clip) if clip.sum() > 0 else None)
    assert isinstance(open_scorer(network, card, engine="auto", device="cpu", precision="f32"), Scorer)
    assert "engine: torch, not OpenVINO; cannot be made into a graph" in caplog.text


def test_auto_takes_torch_where_openvino_is_missing(monkeypatch, caplog):
    caplog.set_level(logging.DEBUG, "kinema")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert isinstance(open_scorer(*make(), engine="auto", device="cpu"), Scorer)
    assert "engine: not OpenVINO, which is not installed" in caplog.text
    with pytest.raises(MissingExtra, match=r"kinema\[openvino\]"):
        open_scorer(*make(), engine="openvino")


def test_engines_that_cannot_be_are_refused():
    with pytest.raises(UnknownName, match="Did you mean openvino"):
        open_scorer(*make(), engine="openvinno")
    with pytest.raises(UsageError, match="give --device cpu"):
        open_scorer(*make(), engine="openvino", device="cuda")


def test_predictor_still_has_its_layers():
    network, card = make()
    predictor = Predictor(network, card, precision="f32", engine="openvino")
    assert isinstance(predictor.scorer, OpenVinoScorer)
    assert predictor.network is network


@pytest.mark.parametrize(("engine", "readers"), [("torch", [1, 1, 2, 4]), ("openvino", [1, 2, 2, 4])])
def test_openvino_leaves_room_for_two_films_to_be_decoded(engine, readers, monkeypatch):
    predictor = Predictor(*make(), device="cpu", precision="f32", engine=engine)
    found = []
    for cores in (1, 2, 4, 16):
        monkeypatch.setattr("kinema.inference.predictor.num_cores", lambda cores=cores: cores)
        found.append(predictor._num_threads())
    assert found == readers


def test_openvino_is_imported_without_its_usage_statistics():
    code = "import sys; from kinema.engines.openvino import openvino; openvino(); "
    code += "from openvino.tools.ovc import telemetry_utils; print(telemetry_utils.tm.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "openvino.tools.ovc.telemetry_stub"


PROCESS = """
import logging, sys
import torch
from kinema.inference.engine import open_scorer
from kinema.inference.parity import largest_difference
from kinema.models import build
from kinema.models.checkpoint import ModelCard

logging.basicConfig(level=logging.INFO)
torch.manual_seed(0)
network = build("slow_fusion_tiny", num_classes=3, spec={"clip_len": 4, "size": (32, 32)}).eval()
card = ModelCard.of(network, ("a", "b", "c"))
sys.stdin.readline()
scorer = open_scorer(network, card, engine="openvino", precision="f32")
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


SIGNAL_AFTER_OPENVINO = """
import os, signal, sys, threading
import numpy as np
from kinema.inference.openvino_graph import ClipGraph, openvino
package = openvino()
from openvino import opset13
clip = opset13.parameter([-1, 3, 1, 8, 8], np.float32)
graphs = [ClipGraph(package.Model([opset13.relu(clip)], [clip]), "f32", 1)]
graphs[0](np.zeros((1, 3, 1, 8, 8), np.float32))
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
dropping = threading.Thread(target=graphs.clear)
dropping.start()
dropping.join()
os.kill(os.getpid(), signal.SIGUSR1)
"""


def test_a_signal_after_the_last_graph_was_dropped_by_another_thread_is_handled():
    done = subprocess.run([sys.executable, "-c", SIGNAL_AFTER_OPENVINO], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
