"""`kinema export --precision int8`, and its file in a checkpoint's place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from kinema import cli

pytest.importorskip("openvino")
pytestmark = pytest.mark.openvino
pytest.importorskip("nncf")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    from kinema.models import build
    from kinema.video.synthetic import MOTIONS
    from kinema.weights.checkpoint import ModelCard, save_checkpoint

    place = tmp_path_factory.mktemp("int8")
    torch.manual_seed(0)
    network = build("slow_fusion_tiny", num_classes=len(MOTIONS), spec={"clip_len": 8, "size": (32, 32)})
    with torch.no_grad():
        network.classifier.weight.mul_(50)
    save_checkpoint(place / "run/best", network, ModelCard.of(network, tuple(sorted(MOTIONS))))
    return place


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch) -> None:
    monkeypatch.chdir(place)


INT8 = ("export", "run", "--format", "openvino", "--precision", "int8", "--calibration-clips", "16")


def test_labelled_videos_tell_what_was_lost(motion_folder: Path, capsys):
    assert cli.run([*INT8, "--calibrate", str(motion_folder), "--out", "n.xml"]) == 0
    printed = capsys.readouterr().out
    for words in ("int8: ranges of 16 clips, judged on 16 others", "same best class", "hit@1", "(before int8)"):
        assert words in printed
    judge = ("evaluate", "n.xml", str(motion_folder), "--split", "valid", "--workers", "0", "--json")
    assert cli.run(list(judge)) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["num_videos"] == 16
    film = str(next(motion_folder.rglob("*.mp4")))
    assert cli.run(["predict", film, "--model", "n.xml", "--precision", "int8", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["top"]) == 5


def test_folder_of_videos_without_classes_will_do(motion_folder: Path, capsys, tmp_path, caplog):
    caplog.set_level("INFO", "kinema")
    for number, film in enumerate(sorted(motion_folder.rglob("*.mp4"))[:6]):
        shutil.copy(film, tmp_path / f"{number}.mp4")
    assert cli.run([*INT8, "--calibrate", str(tmp_path), "--out", "n.xml", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["int8"]
    assert (found["num_ranges"], found["num_judged"]) == (16, 16)
    assert found["hit_at_1"] is None
    assert found["agreement"] > 0.5
    assert "hits are not counted" in caplog.text


def test_wrong_requests_are_named(capsys, motion_folder: Path):
    for options, words in (
        (("--precision", "int8"), "give --calibrate DATA"),
        (("--calibrate", "films"), "give --precision int8"),
        (("--precision", "int8", "--calibrate", "films"), "give --format openvino"),
        (("--precision", "int8", "--calibrate", "films", "--calibration-clips", "0"), "must be at least 1"),
    ):
        assert cli.run(["export", "run", *options]) == 2
        assert words in capsys.readouterr().err
    assert cli.run([*INT8, "--calibrate", "nowhere"]) == 1
    assert "nowhere" in capsys.readouterr().err
    assert cli.run(["predict", str(next(motion_folder.rglob("*.mp4"))), "--model", "run", "--precision", "int8"]) == 2
    assert "--precision int8 --calibrate DATA" in capsys.readouterr().err


@pytest.mark.parametrize("out", [(), ("--out", "slow_fusion_tiny.xml")])
def test_files_of_others_are_refused_before_a_film_is_read(out, place: Path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slow_fusion_tiny.json").write_text("[]")
    monkeypatch.setattr("kinema.commands.export.read_calibration", lambda *_: pytest.fail("films were read"))
    options = ("--format", "openvino", "--precision", "int8", "--calibrate", "films")
    assert cli.run(["export", str(place / "run"), *options, *out]) == 1
    what = "an export would replace this file, which is not of an earlier one: slow_fusion_tiny.json"
    assert f"{what}: choose another --out" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["slow_fusion_tiny.json"]
