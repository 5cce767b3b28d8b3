"""Frame networks in OpenVINO: each frame once, the scores of torch, and torch where anything is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kinema import models
from kinema.engines import openvino_frames as frame_graph
from kinema.engines.openvino import compile_graph
from kinema.engines.openvino_frames import FrameGraph
from kinema.engines.scorer import Scorer
from kinema.inference.predictor import Predictor
from kinema.models.network import Network
from kinema.weights.checkpoint import ModelCard

pytest.importorskip("openvino")
pytestmark = pytest.mark.openvino


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def frames() -> torch.Tensor:
    return torch.randint(256, (11, 3, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def make(name: str = "late_fusion_tiny", **arguments: Any) -> tuple[Network, ModelCard]:
    torch.manual_seed(0)
    spec = {"clip_len": 4, "size": (32, 32), "window_s": 0.8}
    network = models.build(name, num_classes=3, spec=spec, **arguments).eval()
    torch.nn.init.normal_(network.classifier.weight)
    return network, ModelCard.of(network, ("a", "b", "c"))


def make_graph(network: Network, card: ModelCard) -> FrameGraph:
    scorer = Scorer(network, device="cpu", precision="f32", batch_size=2)
    return FrameGraph(scorer, network.frame_parts(), card, lambda: network.variant, 1e-3)


def in_torch(network: Network, frames: torch.Tensor) -> np.ndarray:
    return Scorer(network, device="cpu", precision="f32").frame_scorer().encode(frames)


def test_a_video_is_predicted_as_in_torch_and_each_frame_encoded_once(counting_video, home, monkeypatch) -> None:
    sizes: list[int] = []

    def counted(model, precision):
        graph = compile_graph(model, precision)
        return lambda given: sizes.append(len(given[0])) or graph(given)

    monkeypatch.setattr(frame_graph, "compile_graph", counted)
    network, card = make()
    predictor = Predictor(network, card, device="cpu", precision="f32", batch_size=4, engine="openvino")
    assert len([path for path in (home / "engines").iterdir() if path.is_dir()]) == 1
    found = [predictor(counting_video, step_s=0.12) for _ in range(2)]
    expected = Predictor(network, card, device="cpu", precision="f32")(counting_video, step_s=0.12, share_frames=False)
    assert np.ptp(expected.timeline.scores, axis=0).max() > 1e-3
    for one in found:
        np.testing.assert_allclose(one.timeline.scores, expected.timeline.scores, atol=1e-4)
    assert max(sizes) <= 4 * 4
    assert sum(sizes[1:]) <= 2 * 120 < 2 * 4 * len(expected.timeline)  # the first are for the comparison with torch
    assert len([path for path in (home / "engines").iterdir() if path.is_dir()]) == 2


def test_a_graph_takes_any_number_of_frames_and_is_made_once(frames, monkeypatch) -> None:
    network, card = make("cnn_gru_small", hidden=8)
    made: list[str] = []
    to_openvino = frame_graph.to_openvino
    monkeypatch.setattr(frame_graph, "to_openvino", lambda *given: made.append("one") or to_openvino(*given))
    for count in (11, 1):
        found = make_graph(network, card)(frames[:count])
        np.testing.assert_allclose(found, in_torch(network, frames[:count]), atol=1e-4)
    assert made == ["one"]


def test_where_the_frame_network_cannot_be_converted_torch_computes_and_says_so(frames, monkeypatch, caplog) -> None:
    def refuse(*_args, **_options):
        raise RuntimeError("no such layer")

    monkeypatch.setattr(torch.export, "export", refuse)
    network, card = make()
    graph = make_graph(network, card)
    for _ in range(2):
        np.testing.assert_array_equal(graph(frames), in_torch(network, frames))
    assert caplog.text.count("where windows share frames") == 1


def test_a_graph_with_other_scores_is_refused(frames, monkeypatch, caplog) -> None:
    def wrong(model, precision):
        graph = compile_graph(model, precision)
        return lambda given: [graph(given)[0] * 1.5 + 1]

    monkeypatch.setattr(frame_graph, "compile_graph", wrong)
    network, card = make()
    np.testing.assert_array_equal(make_graph(network, card)(frames), in_torch(network, frames))
    assert "differ from torch's" in caplog.text
