from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kinema.errors import UsageError
from kinema.recipes.predict import PredictConfig, predict


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    from kinema import models
    from kinema.models.checkpoint import ModelCard, save_checkpoint

    folder = tmp_path_factory.mktemp("run") / "best"
    network = models.build("single_frame_tiny", num_classes=2)
    save_checkpoint(folder, network, ModelCard.of(network, ("dark", "light")))
    return str(folder)


@pytest.fixture(scope="module")
def films(tmp_path_factory, write_frames: Callable[..., Path]) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for name in ("one", "two"):
        frames = [np.full((48, 64, 3), 20 + 2 * i, np.uint8) for i in range(60)]
        write_frames(folder / f"{name}.mp4", frames)
    return folder


@pytest.fixture
def config(checkpoint) -> Callable[..., PredictConfig]:
    return lambda **settings: PredictConfig(model=checkpoint, device="cpu", precision="f32", **settings)


def test_one_video_gives_one_json_document(films, config, capsys) -> None:
    assert predict([str(films / "one.mp4")], config(json=True, top=1)) == 0
    out = capsys.readouterr().out
    found = json.loads(out)
    assert set(found) == {"path", "duration_s", "top", "timeline", "segments"}
    assert found["path"] == str(films / "one.mp4")
    assert len(found["top"]) == 1
    assert {"times_s", "labels", "scores"} <= set(found["timeline"])


@pytest.mark.parametrize(("how", "words"), [("keyframes", "seen: keyframes"), ("nonref", "that others refer to")])
def test_leaving_frames_out_is_told_wherever_an_answer_is(how, words, films, config, capsys, tmp_path) -> None:
    film = str(films / "one.mp4")
    assert predict([film], config(fast_seek=how, json=True)) == 0
    assert json.loads(capsys.readouterr().out)["fast_seek"] == how
    assert predict([film], config(fast_seek=how)) == 0
    assert words in capsys.readouterr().out.splitlines()[0]
    assert predict([str(films)], config(fast_seek=how, out=str(tmp_path))) == 0
    assert all(words in line for line in capsys.readouterr().out.splitlines())
    assert words in (tmp_path / "report.html").read_text()
    assert json.loads((tmp_path / "one.json").read_text())["fast_seek"] == how


def test_several_inputs_give_a_line_each_failed_ones_too(films, config, text_file, capsys, caplog) -> None:
    status = predict([str(films), str(text_file), str(films / "missing.mp4")], config(json=True))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert status == 1
    failed = {line["path"] for line in lines if "error" in line}
    assert failed == {str(text_file), str(films / "missing.mp4")}
    assert {Path(line["path"]).name for line in lines if "error" not in line} == {"one.mp4", "two.mp4"}
    assert all(set(line) == {"path", "error"} for line in lines if "error" in line)
    assert "missing.mp4" in caplog.text


def test_patterns_and_lists_on_standard_input_are_taken(films, config, capsys, monkeypatch) -> None:
    assert predict([str(films / "o*.mp4")], config(json=True)) == 0
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{films / 'one.mp4'}\n\n{films / 'two.mp4'}\n"))
    assert predict(["-"], config(json=True)) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_table_names_labels_and_how_often_they_change(films, config, capsys) -> None:
    assert predict([str(films / "one.mp4")], config(rolling=3, step=0.1)) == 0
    out = capsys.readouterr().out
    assert "dark" in out
    assert "label changes a minute" in out
    assert "with a rolling average of 3" in out


def test_csv_of_several_videos_has_one_header(films, config, capsys) -> None:
    assert predict([str(films)], config(format="csv")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "path,start_s,end_s,label,score"
    assert sum(line.startswith("path,") for line in lines) == 1
    assert {Path(line.split(",")[0]).name for line in lines[1:]} == {"one.mp4", "two.mp4"}


def test_subtitles_of_one_video_are_printed_of_several_need_a_folder(films, config, capsys, tmp_path) -> None:
    assert predict([str(films / "one.mp4")], config(format="srt")) == 0
    assert "00:00:00,000 -->" in capsys.readouterr().out
    with pytest.raises(UsageError, match="--out"):
        predict([str(films)], config(format="vtt"))
    assert predict([str(films)], config(format="vtt", out=str(tmp_path / "out"))) == 0
    assert (tmp_path / "out" / "one.vtt").read_text().startswith("WEBVTT")


def test_folder_gets_a_file_a_video_and_a_report(films, config, text_file, tmp_path) -> None:
    out = tmp_path / "out"
    again = tmp_path / "more"
    again.mkdir()
    (again / "one.mp4").write_bytes((films / "one.mp4").read_bytes())
    assert predict([str(films), str(again), str(text_file)], config(out=str(out))) == 1
    assert {path.name for path in out.iterdir()} == {"one.json", "two.json", "one-2.json", "report.html"}
    assert str(text_file) in (out / "report.html").read_text()


def test_film_is_drawn_into_the_file_or_folder_named(films, config, tmp_path) -> None:
    assert predict([str(films / "one.mp4")], config(render=str(tmp_path / "drawn.mp4"))) == 0
    assert (tmp_path / "drawn.mp4").stat().st_size > 1000
    assert predict([str(films)], config(render=str(tmp_path / "drawn"))) == 0
    assert {path.name for path in (tmp_path / "drawn").iterdir()} == {"one.mp4", "two.mp4"}
    with pytest.raises(UsageError, match="one file"):
        predict([str(films)], config(render=str(tmp_path / "all.mp4")))
    with pytest.raises(UsageError, match="over itself"):
        predict([str(films / "one.mp4")], config(render=str(films / "one.mp4")))


def test_nothing_to_predict_is_wrong_usage(config, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(UsageError, match="nothing to predict"):
        predict(["-"], config())
