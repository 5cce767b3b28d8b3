"""`kinema watch` with OpenVINO; a file of its own, because its CPU plugin does not go with every test beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kinema.commands.watch import WatchConfig, watch

pytest.importorskip("openvino")
pytestmark = pytest.mark.openvino


def test_a_network_that_looks_at_clips_runs_in_openvino(
    tmp_path, short_video: Path, monkeypatch, capsys, caplog
) -> None:
    from kinema import models
    from kinema.weights.checkpoint import ModelCard, save_checkpoint

    monkeypatch.setenv("KINEMA_HOME", str(tmp_path / "home"))
    network = models.build("slow_fusion_tiny", num_classes=2, spec={"clip_len": 4, "size": (32, 32)})
    save_checkpoint(tmp_path / "best", network, ModelCard.of(network, ("dark", "light")))
    with caplog.at_level("INFO", logger="kinema"):
        config = WatchConfig(model=str(tmp_path), device="cpu", engine="openvino", precision="f32", json=True)
        assert watch(str(short_video), config) == 0
    assert "engine: OpenVINO" in caplog.text
    assert {"dark", "light"} == {item["label"] for item in json.loads(capsys.readouterr().out.splitlines()[0])["top"]}
