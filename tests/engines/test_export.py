"""Exported files: pixels in, scores out, any number of clips, and all that a program must know inside."""

from __future__ import annotations

import numpy as np
import pytest

from kinema.engines import export as exporting
from kinema.engines.export import export
from kinema.engines.exported import ENDINGS, open_exported
from kinema.engines.parity import probe_clips
from kinema.engines.scorer import to_scores
from kinema.errors import OutputError, UnknownName, UsageError
from kinema.weights.checkpoint import save_checkpoint

pytest.importorskip("onnxscript")

onnxruntime = pytest.importorskip("onnxruntime")
openvino = pytest.importorskip("openvino")
pytestmark = pytest.mark.openvino
Clips = np.ndarray


@pytest.mark.parametrize("format", ENDINGS)
def test_wrong_scores_leave_no_file(make, format: str, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "largest_difference", lambda *_: 0.5)
    path = tmp_path / "deep" / f"n{ENDINGS[format]}"
    path.parent.mkdir()
    path.write_text("the file of before")
    path.with_suffix(".json").write_text('{"kinema": {"card": {}}}')
    with pytest.raises(OutputError, match=r"differ from torch's by 0\.5, more than 0\.0001: slow_fusion_tiny"):
        export(*make(), path, format=format)
    assert {other.name for other in path.parent.iterdir()} == {path.name, "n.json"}
    assert path.read_text() == "the file of before"


def test_a_checkpoint_s_card_is_not_replaced(make, tmp_path):
    network, card = make()
    save_checkpoint(tmp_path / "best", network, card)
    before = (tmp_path / "best/model.json").read_text()
    with pytest.raises(OutputError, match=r"would replace this file.*best/model\.json: choose another --out"):
        export(network, card, tmp_path / "best/model.xml", format="openvino")
    assert (tmp_path / "best/model.json").read_text() == before


@pytest.mark.parametrize("ending", [".json", ".bin", ".xml"])
def test_files_of_others_are_not_replaced(make, ending: str, tmp_path):
    (tmp_path / f"n{ending}").write_text("[]")
    with pytest.raises(OutputError, match="not of an earlier one"):
        export(*make(), tmp_path / "n.xml", format="openvino")


@pytest.mark.parametrize(("name", "format"), [("UP.XML", "openvino"), ("m.PT2", "torch-export"), ("n.Onnx", "onnx")])
def test_endings_may_be_in_large_letters_and_an_export_replaces_the_last(
    make, torch_scores, name: str, format: str, tmp_path
):
    network, card = make()
    for _ in range(2):
        written = export(network, card, tmp_path / name, format=format)
    assert sorted(tmp_path.iterdir()) == sorted(written.files)
    if format != "torch-export":
        clips = probe_clips(network.spec, 2)
        found = to_scores(open_exported(written.path, precision="f32")[0](clips), False)
        np.testing.assert_allclose(found, torch_scores(network, clips.numpy()), atol=1e-5)


def test_network_that_no_graph_can_hold_is_refused(make, tmp_path, monkeypatch):
    network, card = make()
    forward = type(network).forward
    monkeypatch.setattr(type(network), "forward", lambda self, clip: forward(self, clip) if clip.sum() > 0 else None)
    with pytest.raises(OutputError, match="cannot be made into a graph") as caught:
        export(network, card, tmp_path / "n.onnx")
    assert len(str(caught.value)) < 500
    assert list(tmp_path.iterdir()) == []


def test_endings_belong_to_formats(make, tmp_path):
    with pytest.raises(UsageError, match=r"files of --format openvino end in \.xml"):
        export(*make(), tmp_path / "n.onnx", format="openvino")
    with pytest.raises(UnknownName, match="Did you mean openvino"):
        export(*make(), tmp_path / "n.onnx", format="openvinno")
