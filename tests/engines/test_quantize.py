"""int8 files: made by real clips, judged on others, and honest about what they changed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kinema.engines import export as exporting
from kinema.engines import quantize as quantizing
from kinema.engines.export import check_int8, export
from kinema.engines.exported import open_exported
from kinema.engines.openvino import openvino
from kinema.engines.parity import probe_clips
from kinema.engines.quantize import compare
from kinema.engines.scorer import Scorer, to_scores
from kinema.errors import MissingExtra, UsageError
from kinema.models.network import Network
from kinema.runs.calibration import Calibration

pytest.importorskip("openvino")
pytestmark = pytest.mark.openvino
pytest.importorskip("nncf")


def calibration_of(network: Network, targets: tuple[tuple[int, ...], ...] | None = None) -> Calibration:
    clips = probe_clips(network.spec, 20).numpy()
    return Calibration(clips[:12], clips[12:], targets)


@pytest.mark.parametrize("name", ["slow_fusion_tiny", "video_vit_small"])
def test_int8_file_gives_nearly_the_same_scores(make, name: str, tmp_path):
    network, card = make(name)
    clips = probe_clips(network.spec, 20)
    exact = to_scores(Scorer(network, device="cpu", precision="f32")(clips[12:]), False)
    right = tuple((int(best),) for best in exact.argmax(-1))
    written = export(network, card, tmp_path / "n.xml", format="openvino", calibration=calibration_of(network, right))
    scorer, about = open_exported(written.path, batch_size=4)
    found = to_scores(scorer(clips[12:]), False)
    assert (about, scorer.precision) == (card, "int8")
    assert 1e-5 < np.abs(found - exact).max() < 0.1
    assert written.difference < 1e-5, "before it was made int8"
    assert written.int8 is not None
    assert (written.int8.num_ranges, written.int8.num_judged) == (12, 8)
    assert written.int8.largest_difference == pytest.approx(np.abs(found - exact).max(), abs=1e-4)
    assert (written.int8.hit_at_1_f32, written.int8.hit_at_1) == (1.0, written.int8.agreement)
    kinds = {operation.get_type_name() for operation in openvino().Core().read_model(written.path).get_ops()}
    assert "FakeQuantize" in kinds
    assert sorted(tmp_path.iterdir()) == sorted(written.files)


def test_file_says_what_it_is_and_keeps_to_its_format(make, tmp_path):
    network, card = make()
    path = export(network, card, tmp_path / "n.xml", format="openvino", calibration=calibration_of(network)).path
    assert json.loads(path.with_suffix(".json").read_text())["kinema"]["precision"] == "int8"
    assert open_exported(path, precision="int8")[0].precision == "int8"
    with pytest.raises(UsageError, match="its own number format, int8: --precision bf16"):
        open_exported(path, precision="bf16")
    plain = export(network, card, tmp_path / "plain.xml", format="openvino").path
    with pytest.raises(UsageError, match=r"make a file with `kinema export"):
        open_exported(plain, precision="int8")


def test_other_formats_and_a_missing_package_are_named(make, monkeypatch, tmp_path):
    network, card = make()
    with pytest.raises(UsageError, match="give --format openvino"):
        export(network, card, tmp_path / "n.onnx", calibration=calibration_of(network))
    monkeypatch.setitem(__import__("sys").modules, "nncf", None)
    with pytest.raises(MissingExtra, match=r"int8 graphs need the package nncf: pip install 'kinema\[int8\]'"):
        check_int8("openvino")
    assert list(tmp_path.iterdir()) == []


def test_file_that_names_other_classes_is_warned_of(make, monkeypatch, tmp_path, caplog):
    network, card = make()
    monkeypatch.setattr(exporting, "quantize", lambda model, clips, name: _turned(model))
    moved = export(network, card, tmp_path / "n.xml", format="openvino", calibration=calibration_of(network)).int8
    assert moved is not None
    assert moved.agreement == 0
    assert "int8 names another class for 100 % of the clips: give more clips" in caplog.text


def _turned(model):
    """The same model with its classes in another order."""
    from openvino import opset13 as ops

    turned = model.clone()
    scores = turned.outputs[0].get_node().input_value(0)
    order = ops.gather(scores, np.array([1, 2, 0]), np.array(1))
    result = ops.result(order)
    result.output(0).set_names({"scores"})
    return type(model)([result], turned.get_parameters(), "turned")


def test_graph_that_nncf_refuses_leaves_no_file(make, monkeypatch, tmp_path):
    def refuse(*args: object, **options: object) -> None:
        raise ValueError("no such layer")

    network, card = make()
    monkeypatch.setattr(quantizing.quantizer(), "quantize", refuse)
    with pytest.raises(exporting.OutputError, match=r"cannot be made into an int8 graph \(ValueError: no such layer"):
        export(network, card, tmp_path / "n.xml", format="openvino", calibration=calibration_of(network))
    assert list(tmp_path.iterdir()) == []


def test_differences_and_hits_are_counted():
    exact = np.array([[0.7, 0.3], [0.4, 0.6]], np.float32)
    found = np.array([[0.6, 0.4], [0.55, 0.45]], np.float32)
    moved = compare(exact, found, ((0,), (0, 1)), 5)
    assert (moved.agreement, moved.hit_at_1_f32, moved.hit_at_1) == (0.5, 1.0, 1.0)
    assert moved.largest_difference == pytest.approx(0.15)
    assert moved.mean_difference == pytest.approx(0.125)
    unknown = compare(exact, found, None, 5)
    assert (unknown.hit_at_1_f32, unknown.hit_at_1) == (None, None)
