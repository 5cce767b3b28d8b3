"""`kinema export`, and its files in a checkpoint's place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from kinema import cli

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

DOCS = Path(__file__).parents[2] / "docs/howto/export.md"


@pytest.fixture(scope="module")
def place(tmp_path_factory, motion_folder: Path, write_frames: Callable[..., Path]) -> Path:
    """A run with a network whose scores are far from equal, a film, and the network as a file."""
    from kinema.models import build
    from kinema.video.synthetic import MOTIONS, draw_motion
    from kinema.weights.checkpoint import ModelCard, save_checkpoint

    place = tmp_path_factory.mktemp("export")
    torch.manual_seed(0)
    network = build("slow_fusion_small", num_classes=len(MOTIONS), width=8, spec={"clip_len": 8, "size": (32, 32)})
    with torch.no_grad():
        network.classifier.weight.mul_(50)
    save_checkpoint(place / "run/best", network, ModelCard.of(network, tuple(sorted(MOTIONS))))
    frames = np.concatenate([draw_motion(label, np.random.default_rng(0)) for label in MOTIONS[:2]])
    write_frames(place / "match.mp4", frames)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert cli.run(["export", "run"]) == 0
    return place


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch) -> None:
    monkeypatch.chdir(place)


def run_json(capsys, *arguments: str) -> dict:
    assert cli.run([*arguments, "--json"]) in (0, 1), capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def test_file_is_called_like_the_network(place: Path):
    assert (place / "slow_fusion_small.onnx").is_file()


def test_file_predicts_and_is_judged_like_its_checkpoint(motion_folder: Path, capsys):
    predict = ("predict", "match.mp4", "--step", "0.2", "--precision", "f32")
    exact, found = (run_json(capsys, *predict, "--model", model) for model in ("run", "slow_fusion_small.onnx"))
    np.testing.assert_allclose(found["timeline"]["scores"], exact["timeline"]["scores"], atol=2e-4)
    assert found["segments"] == exact["segments"]
    judge = (str(motion_folder), "--split", "valid", "--workers", "0", "--precision", "f32")
    exact, found = (run_json(capsys, "evaluate", model, *judge) for model in ("run", "slow_fusion_small.onnx"))
    assert found["confusion"] == exact["confusion"]
    assert found["loss"] == pytest.approx(exact["loss"], abs=1e-4)


def test_engines_agree(motion_folder: Path, capsys, caplog, tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path))
    predict = ("predict", "match.mp4", "--model", "run", "--precision", "f32", "--engine")
    exact, found = (run_json(capsys, *predict, engine) for engine in ("torch", "openvino"))
    np.testing.assert_allclose(found["timeline"]["scores"], exact["timeline"]["scores"], atol=2e-4)
    judge = ("evaluate", "run", str(motion_folder), "--split", "valid", "--workers", "0", "--precision", "f32")
    exact, found = (run_json(capsys, *judge, "--engine", engine) for engine in ("torch", "auto"))
    assert found["confusion"] == exact["confusion"]
    assert "engine: OpenVINO" in caplog.text


def test_input_can_be_another_where_the_weights_allow_it(capsys, tmp_path):
    out = str(tmp_path / "other.onnx")
    found = run_json(capsys, "export", "run", "--size", "40x48", "--clip-len", "8", "--out", out)
    assert found["input"] == ["batch", 3, 8, 40, 48]
    assert found["files"] == [out]
    assert found["difference"] < 1e-4
    assert run_json(capsys, "predict", "match.mp4", "--model", out)["top"]


def test_wrong_requests_are_named(capsys, tmp_path):
    assert cli.run(["export", "run", "--out", str(tmp_path / "n.xml")]) == 2
    assert "files of --format onnx end in .onnx" in capsys.readouterr().err
    assert cli.run(["export", "rum"]) == 1
    assert "Did you mean run" in capsys.readouterr().err
    assert cli.run(["predict", "match.mp4", "--model", "nowhere.onnx"]) == 1
    assert "no such file: nowhere.onnx: make it with `kinema export`" in capsys.readouterr().err


def test_the_program_in_the_docs_says_what_predict_says(capsys):
    (program,) = re.findall(r"<!-- program -->\n```python\n(.*?)^```", DOCS.read_text(), re.M | re.S)
    assert "kinema" not in re.findall(r"^(?:import|from) (\w+)", program, re.M)
    exact = run_json(capsys, "predict", "match.mp4", "--model", "run", "--precision", "f32")["top"]
    exec(compile(program, str(DOCS), "exec"), {})
    found = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert [label for _, label in found] == [row["label"] for row in exact]
    np.testing.assert_allclose([float(score) for score, _ in found], [row["score"] for row in exact], atol=0.01)
