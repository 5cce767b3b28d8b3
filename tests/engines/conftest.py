"""What tests of engines share: a network whose scores are far from equal, its scores in torch, and counted conversions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from kinema.engines.scorer import Scorer, to_scores
from kinema.models import build
from kinema.models.network import Network
from kinema.weights.checkpoint import ModelCard

Clips = np.ndarray
Made = tuple[Network, ModelCard]


@pytest.fixture(scope="session")
def make() -> Callable[..., Made]:
    """Builds a network with three classes; keywords go to its card."""

    def make(name: str = "slow_fusion_tiny", seed: int = 0, **card: object) -> Made:
        torch.manual_seed(seed)
        network = build(name, num_classes=3, spec={"clip_len": 4, "size": (32, 32), "window_s": 1.0}).eval()
        with torch.no_grad():
            for parameter in network.classifier.parameters():
                parameter.mul_(50)
        return network, ModelCard.of(network, ("a", "b", "c"), **card)

    return make


@pytest.fixture(scope="session")
def torch_scores() -> Callable[..., Clips]:
    """Scores of clips in torch, in float32."""

    def torch_scores(network: Network, clips: Clips, multi_label: bool = False) -> Clips:
        return to_scores(Scorer(network, device="cpu", precision="f32")(torch.from_numpy(clips)), multi_label)

    return torch_scores


@pytest.fixture(scope="session")
def run_file() -> Callable[[Path, Clips], Clips]:
    """Scores of clips by an exported file, in the library that its ending names, without kinema."""

    def run_file(path: Path, clips: Clips) -> Clips:
        if path.suffix == ".onnx":
            onnxruntime = pytest.importorskip("onnxruntime")
            return onnxruntime.InferenceSession(path).run(["scores"], {"clip": clips})[0]
        if path.suffix == ".xml":
            core = pytest.importorskip("openvino").Core()
            return core.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"clip": clips})["scores"]
        with torch.no_grad():
            return torch.export.load(path).module()(torch.from_numpy(clips)).numpy()

    return run_file


@pytest.fixture
def conversions(monkeypatch) -> list[str]:
    """The names of networks that were converted for OpenVINO."""
    from kinema.engines.backends import openvino

    done: list[str] = []
    trace = openvino.trace

    def counted(network: Network, *others, **options):
        done.append(network.variant)
        return trace(network, *others, **options)

    monkeypatch.setattr(openvino, "trace", counted)
    return done
