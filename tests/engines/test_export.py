"""Exported files: pixels in, scores out, any number of clips, and all that a program must know inside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from kinema.engines import export as exporting
from kinema.engines.export import export
from kinema.engines.exported import ENDINGS, open_exported
from kinema.engines.parity import probe_clips
from kinema.engines.scorer import Scorer, to_scores
from kinema.errors import OutputError, UnknownName, UsageError
from kinema.models import build
from kinema.models.network import Network
from kinema.weights.checkpoint import ModelCard, save_checkpoint

pytest.importorskip("onnxscript")

onnxruntime = pytest.importorskip("onnxruntime")
openvino = pytest.importorskip("openvino")
pytestmark = pytest.mark.openvino
Clips = np.ndarray


def make(name: str = "slow_fusion_tiny", **card: object) -> tuple[Network, ModelCard]:
    """A network whose scores are far from equal."""
    torch.manual_seed(0)
    network = build(name, num_classes=3, spec={"clip_len": 4, "size": (32, 32), "window_s": 1.0}).eval()
    with torch.no_grad():
        for parameter in network.classifier.parameters():
            parameter.mul_(50)
    return network, ModelCard.of(network, ("a", "b", "c"), **card)


def torch_scores(network: Network, clips: Clips, multi_label: bool = False) -> Clips:
    return to_scores(Scorer(network, device="cpu", precision="f32")(torch.from_numpy(clips)), multi_label)


def run_onnx(path: Path, clips: Clips) -> Clips:
    (scores,) = onnxruntime.InferenceSession(path).run(["scores"], {"clip": clips})
    return scores


def run_openvino(path: Path, clips: Clips) -> Clips:
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled({"clip": clips})["scores"]


def run_torch(path: Path, clips: Clips) -> Clips:
    with torch.no_grad():
        return torch.export.load(path).module()(torch.from_numpy(clips)).numpy()


RUN: dict[str, Callable[[Path, Clips], Clips]] = {
    "onnx": run_onnx,
    "openvino": run_openvino,
    "torch-export": run_torch,
}


@pytest.mark.parametrize("format", RUN)
def test_wrong_scores_leave_no_file(format: str, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "largest_difference", lambda *_: 0.5)
    path = tmp_path / "deep" / f"n{ENDINGS[format]}"
    path.parent.mkdir()
    path.write_text("the file of before")
    path.with_suffix(".json").write_text('{"kinema": {"card": {}}}')
    with pytest.raises(OutputError, match=r"differ from torch's by 0\.5, more than 0\.0001: slow_fusion_tiny"):
        export(*make(), path, format=format)
    assert {other.name for other in path.parent.iterdir()} == {path.name, "n.json"}
    assert path.read_text() == "the file of before"


def test_a_checkpoint_s_card_is_not_replaced(tmp_path):
    network, card = make()
    save_checkpoint(tmp_path / "best", network, card)
    before = (tmp_path / "best/model.json").read_text()
    with pytest.raises(OutputError, match=r"would replace this file.*best/model\.json: choose another --out"):
        export(network, card, tmp_path / "best/model.xml", format="openvino")
    assert (tmp_path / "best/model.json").read_text() == before


@pytest.mark.parametrize("ending", [".json", ".bin", ".xml"])
def test_files_of_others_are_not_replaced(ending: str, tmp_path):
    (tmp_path / f"n{ending}").write_text("[]")
    with pytest.raises(OutputError, match="not of an earlier one"):
        export(*make(), tmp_path / "n.xml", format="openvino")


@pytest.mark.parametrize(("name", "format"), [("UP.XML", "openvino"), ("m.PT2", "torch-export"), ("n.Onnx", "onnx")])
def test_endings_may_be_in_large_letters_and_an_export_replaces_the_last(name: str, format: str, tmp_path):
    network, card = make()
    for _ in range(2):
        written = export(network, card, tmp_path / name, format=format)
    assert sorted(tmp_path.iterdir()) == sorted(written.files)
    if format != "torch-export":
        clips = probe_clips(network.spec, 2)
        found = to_scores(open_exported(written.path, precision="f32")[0](clips), False)
        np.testing.assert_allclose(found, torch_scores(network, clips.numpy()), atol=1e-5)


def test_network_that_no_graph_can_hold_is_refused(tmp_path, monkeypatch):
    network, card = make()
    forward = type(network).forward
    monkeypatch.setattr(type(network), "forward", lambda self, clip: forward(self, clip) if clip.sum() > 0 else None)
    with pytest.raises(OutputError, match="cannot be made into a graph") as caught:
        export(network, card, tmp_path / "n.onnx")
    assert len(str(caught.value)) < 500
    assert list(tmp_path.iterdir()) == []


def test_endings_belong_to_formats(tmp_path):
    with pytest.raises(UsageError, match=r"files of --format openvino end in \.xml"):
        export(*make(), tmp_path / "n.onnx", format="openvino")
    with pytest.raises(UnknownName, match="Did you mean openvino"):
        export(*make(), tmp_path / "n.onnx", format="openvinno")
