"""Files of each format: bytes in, scores out, any number of clips, and the metadata that a program needs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from kinema.engines.export import export
from kinema.engines.exported import ENDINGS
from kinema.engines.parity import probe_clips
from kinema.types import InputSpec
from kinema.weights.checkpoint import ModelCard

pytest.importorskip("onnxscript")

onnxruntime = pytest.importorskip("onnxruntime")
openvino = pytest.importorskip("openvino")
pytestmark = pytest.mark.openvino
Clips = np.ndarray


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("format", ENDINGS)
def test_file_gives_the_scores_of_any_number_of_clips(
    make, torch_scores, run_file, format: str, multi_label: bool, tmp_path
):
    network, card = make(multi_label=multi_label)
    path = tmp_path / f"network{ENDINGS[format]}"
    written = export(network, card, path, format=format)
    assert written.input == ("batch", 3, 4, 32, 32)
    assert written.difference < 1e-5
    for count in (1, 2, 5):
        clips = probe_clips(network.spec, count).numpy()
        expected = torch_scores(network, clips, multi_label)
        assert np.ptp(expected) > 0.05
        np.testing.assert_allclose(run_file(path, clips), expected, atol=1e-5)
    assert sorted(tmp_path.iterdir()) == sorted(written.files), "nothing else is left"


def test_batch_has_a_name_and_input_is_bytes(make, tmp_path):
    session = onnxruntime.InferenceSession(export(*make(), tmp_path / "n.onnx").path)
    (given,), (found,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape, given.type) == ("clip", ["batch", 3, 4, 32, 32], "tensor(uint8)")
    assert (found.name, found.shape, found.type) == ("scores", ["batch", 3], "tensor(float)")


def onnx_metadata(path: Path) -> dict[str, str]:
    return dict(onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map)


def openvino_metadata(path: Path) -> dict[str, str]:
    model = openvino.Core().read_model(path)
    beside = json.loads(path.with_suffix(".json").read_text())
    inside = {key: model.get_rt_info([key]).astype(str) for key in ("labels", "input", "kinema")}
    assert beside == {key: json.loads(value) for key, value in inside.items()}
    return inside


def torch_metadata(path: Path) -> dict[str, str]:
    extra = dict.fromkeys(("labels.json", "input.json", "kinema.json"), "")
    torch.export.load(path, extra_files=extra)
    return {name.removesuffix(".json"): text for name, text in extra.items()}


@pytest.mark.parametrize(
    ("format", "read"),
    [("onnx", onnx_metadata), ("openvino", openvino_metadata), ("torch-export", torch_metadata)],
)
def test_file_knows_its_classes_input_and_origin(make, format: str, read: Callable[[Path], dict[str, str]], tmp_path):
    network, card = make()
    card = ModelCard.from_json({**card.to_json(), "labels": ["ärger", 'a "quote"', "c"], "metrics": {"hit": 0.5}})
    metadata = read(export(network, card, tmp_path / f"n{ENDINGS[format]}", format=format).path)
    assert json.loads(metadata["labels"]) == ["ärger", 'a "quote"', "c"]
    assert InputSpec.from_json(json.loads(metadata["input"])) == network.spec
    about = json.loads(metadata["kinema"])
    assert ModelCard.from_json(about["card"]) == card
    assert about["scores"] == "softmax"
    assert set(about["made_with"]) == {"kinema", "torch"}
