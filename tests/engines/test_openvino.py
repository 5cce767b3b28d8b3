"""OpenVINO graphs: batches and single clips, no usage statistics, and signals after the last graph."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from kinema.engines import openvino as openvino_graph
from kinema.engines.choose import open_scorer
from kinema.engines.options import EngineOptions
from kinema.engines.parity import probe_clips
from kinema.engines.scorer import Scorer

pytest.importorskip("openvino")

pytestmark = [pytest.mark.openvino, pytest.mark.usefixtures("home")]


def test_graphs_have_the_shape_of_whole_batches_and_of_single_clips(make, monkeypatch):
    shapes: list[int] = []
    compile_graph = openvino_graph.compile_graph

    def noted(model, precision):
        shapes.append(model.inputs[0].partial_shape[0].get_length())
        return compile_graph(model, precision)

    network, card = make()
    scorer = open_scorer(network, card, EngineOptions(engine="openvino", precision="f32", batch_size=4))
    monkeypatch.setattr(openvino_graph, "compile_graph", noted)
    clips = probe_clips(network.spec, 10)
    found = [scorer(clips), scorer(clips[:1]), scorer(clips[:4])]
    assert shapes == [4, 1], "each is compiled once"
    for rows, count in zip(found, (10, 1, 4), strict=True):
        np.testing.assert_allclose(rows, found[0][:count], rtol=1e-4, atol=1e-5)
    exact = Scorer(network, device="cpu", precision="f32")
    np.testing.assert_allclose(found[0], exact(clips), rtol=1e-4, atol=1e-4)


def test_openvino_is_imported_without_its_usage_statistics():
    code = "import sys; from kinema.engines.openvino import openvino; openvino(); "
    code += "from openvino.tools.ovc import telemetry_utils; print(telemetry_utils.tm.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "openvino.tools.ovc.telemetry_stub"


SIGNAL_AFTER_OPENVINO = """
import os, signal, sys, threading
import numpy as np
from kinema.engines.openvino import ClipGraph, openvino
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
