"""`kinema features`, as a user runs it."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from kinema import cli
from kinema.inference.predictor import load


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    import torch

    from kinema import models
    from kinema.weights.checkpoint import ModelCard, save_checkpoint

    folder = tmp_path_factory.mktemp("run") / "best"
    torch.manual_seed(0)
    network = models.build("single_frame_tiny", num_classes=2, spec={"size": (32, 32)})
    save_checkpoint(folder, network, ModelCard.of(network, ("dark", "light")))
    return str(folder)


@pytest.fixture(scope="module")
def films(tmp_path_factory, write_frames) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for name in ("one", "two"):
        write_frames(folder / f"{name}.mp4", [np.full((48, 64, 3), 20 + 2 * i, np.uint8) for i in range(60)])
    return folder


@pytest.fixture
def features(checkpoint):
    return lambda *words: cli.run(["features", *words, "--model", checkpoint, "--device", "cpu", "--precision", "f32"])


def read(path: Path) -> dict[str, np.ndarray]:
    if path.suffix == ".npz":
        with np.load(path) as archive:
            return dict(archive)
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    assert str(table.schema.field("feature").type).startswith("fixed_size_list<")
    return {name: np.array(table[name].to_pylist()) for name in table.column_names}


@pytest.mark.parametrize("name", ["found.npz", "deep/found.parquet"])
def test_a_table_holds_a_row_for_each_clip(films, features, checkpoint, tmp_path, name, capsys):
    assert features(str(films), "--out", str(tmp_path / name), "--step", "0.5") == 0
    found = read(tmp_path / name)
    assert list(found) == ["path", "start_s", "end_s", "feature"]
    vectors, spans_s = load(checkpoint, "cpu", precision="f32").features(films / "two.mp4", step_s=0.5)
    rows = found["path"] == str(films / "two.mp4")
    assert np.allclose(found["feature"][rows], vectors, atol=1e-6)
    assert np.allclose(np.stack([found["start_s"], found["end_s"]], 1)[rows], spans_s)
    assert found["feature"].dtype in (np.float32, np.float64)
    assert list(dict.fromkeys(found["path"])) == [str(films / "one.mp4"), str(films / "two.mp4")]
    assert f"{len(found['path'])} clips of 2 videos" in capsys.readouterr().out
    assert [p.name for p in (tmp_path / name).parent.iterdir()] == [Path(name).name]


def test_json_is_one_summary_and_bad_files_are_named(films, features, text_file, tmp_path, capsys, caplog):
    missing = films / "missing.mp4"
    status = features(str(films), str(text_file), str(missing), "--json", "--out", str(tmp_path / "a.npz"))
    found = json.loads(capsys.readouterr().out)
    assert status == 1
    assert {failure["path"] for failure in found["failures"]} == {str(text_file), str(missing)}
    assert (found["num_videos"], found["layer"]) == (2, None)
    table = read(tmp_path / "a.npz")
    assert table["feature"].shape == (found["num_rows"], found["dim"])
    assert "missing.mp4" in caplog.text


@pytest.mark.parametrize("name", ["a.npz", "a.parquet"])
def test_a_name_that_is_not_utf_8_is_named_and_the_rest_goes_on(films, features, tmp_path, capsys, name):
    (tmp_path / "set").mkdir()
    shutil.copy(films / "one.mp4", tmp_path / "set/one.mp4")
    shutil.copy(films / "one.mp4", os.fsencode(tmp_path / "set") + b"/caf\xe9.mp4")
    assert features(str(tmp_path / "set"), "--out", str(tmp_path / name), "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["num_videos"] == 1
    assert [failure["path"] for failure in found["failures"]] == [str(tmp_path / "set/caf\\xe9.mp4")]
    assert set(read(tmp_path / name)["path"]) == {str(tmp_path / "set/one.mp4")}


def test_frames_that_are_lost_are_told(features, damaged_video, tmp_path, capsys):
    out = str(tmp_path / "a.npz")
    assert features(str(damaged_video), "--out", out, "--step", "0.04", "--json") == 1
    (failure,) = json.loads(capsys.readouterr().out)["failures"]
    assert "frames could not be decoded" in failure["error"]


def test_paths_come_from_standard_input_and_layers_by_name(films, features, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{films / 'one.mp4'}\n"))
    out = str(tmp_path / "a.npz")
    assert features("-", "--out", out, "--layer", "classifier", "--pool", "max", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["num_videos"], found["dim"], found["pool"]) == (1, 2, "max")


def test_where_no_video_can_be_read_there_is_no_table(features, text_file, tmp_path, capsys):
    assert features(str(text_file), "--out", str(tmp_path / "a.npz")) == 1
    assert "not one video" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_wrong_requests_are_one_line_and_leave_nothing(films, features, tmp_path, capsys):
    for words, said in [
        (["--out", str(tmp_path / "a.csv")], ".parquet or .npz"),
        (["--out", str(tmp_path / "a.npz"), "--layer", "classifer"], "classifier"),
        (["--out", str(tmp_path / "a.npz"), "--step", "0"], "--step"),
    ]:
        capsys.readouterr()
        assert features(str(films), *words) == 2
        err = capsys.readouterr().err
        assert (err.count("\n"), said in err) == (1, True), err
    assert list(tmp_path.iterdir()) == []


def test_parquet_without_its_package_says_which_extra(films, features, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert features(str(films), "--out", str(tmp_path / "a.parquet")) == 1
    assert "kinema[parquet]" in capsys.readouterr().err
