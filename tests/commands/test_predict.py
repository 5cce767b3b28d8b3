from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kinema.commands.predict import PredictConfig, predict
from kinema.errors import OutputError, UsageError


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    from kinema import models
    from kinema.weights.checkpoint import ModelCard, save_checkpoint

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


NAMES = ("walk [slow]", "[/b] stop", "at 10:100:20")


@pytest.fixture(scope="module")
def odd_names(tmp_path_factory, write_frames) -> tuple[str, Path]:
    """A network and a film with names that a terminal's markup would change."""
    from kinema import models
    from kinema.weights.checkpoint import ModelCard, save_checkpoint

    folder = tmp_path_factory.mktemp("odd")
    network = models.build("single_frame_tiny", num_classes=3)
    save_checkpoint(folder / "best", network, ModelCard.of(network, NAMES))
    return str(folder / "best"), write_frames(folder / "cam:100:x [b].mp4", [np.zeros((48, 64, 3), np.uint8)] * 30)


def test_classes_and_paths_are_printed_as_they_are(odd_names, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    model, film = odd_names
    config = PredictConfig(model=model, device="cpu", precision="f32", top=3)
    for paths in ([str(film)], [str(film), str(film.parent / "*.mp4")], [str(film), "missing"]):
        predict(paths, config)
        out = capsys.readouterr().out
        assert all(name in out for name in (*NAMES, str(film))), out


def test_lines_of_several_films_hold_as_many_labels_as_asked_for(films, config, capsys):
    assert predict([str(films)], config()) == 0
    assert all(len(line.split("%")) == 2 for line in capsys.readouterr().out.splitlines())
    assert predict([str(films)], config(top=2)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all("dark" in line and "light" in line for line in lines)


def test_in_the_end_it_is_told_how_many_films_there_were_and_where_the_report_is(
    films, config, text_file, tmp_path, caplog
):
    caplog.set_level(logging.INFO, "kinema")
    assert predict([str(films), str(text_file)], config(out=str(tmp_path / "out"))) == 1
    assert caplog.messages[-2:] == [f"report: {tmp_path}/out/report.html", "3 videos, 1 failed"]
    predict([str(films)], config())
    assert caplog.messages[-1] == "2 videos, all well"
    caplog.clear()
    predict([str(films)], config(json=True))
    assert not caplog.messages


def test_printed_and_written_json_hold_the_same(odd_names, tmp_path, capsys):
    model, film = odd_names
    for top, count in ((None, 3), (2, 2)):
        config = PredictConfig(model=model, device="cpu", precision="f32", json=True, top=top, out=str(tmp_path / "o"))
        predict([str(film)], config)
        printed, written = capsys.readouterr().out, (tmp_path / "o" / f"{film.stem}.json").read_text()
        assert json.loads(printed) == json.loads(written)
        assert len(json.loads(printed)["top"]) == count


def test_a_misspelt_film_is_told_before_anything_is_loaded(tmp_path):
    code = "import sys; from kinema import cli; print(cli.run(sys.argv[1:]), 'torch' in sys.modules)"
    command = [sys.executable, "-c", code, "predict", str(tmp_path / "no.mp4"), "--model", str(tmp_path / "none")]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout == "1 False\n"
    assert found.stderr == f"kinema: no such file or folder: {tmp_path / 'no.mp4'}: check the spelling of the path\n"


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes there")
def test_a_name_that_is_not_utf_8_is_told_and_counted_like_other_failures(films, config, tmp_path, capsys, monkeypatch):
    bad = os.fsdecode(bytes(tmp_path) + b"/caf\xe9.mp4")
    (tmp_path / "good.mp4").write_bytes((films / "one.mp4").read_bytes())
    Path(bad).write_bytes((films / "one.mp4").read_bytes())
    wanted = config(json=True, out=str(tmp_path / "out"))
    pipe = io.TextIOWrapper(io.BytesIO(os.fsencode(f"{bad}\n{tmp_path / 'good.mp4'}\n")), "utf-8")
    monkeypatch.setattr("sys.stdin", pipe)
    for paths in ([str(tmp_path)], [bad, str(tmp_path / "good.mp4")], ["-"]):
        assert predict(paths, wanted) == 1
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [Path(line["path"]).name for line in lines] == [r"caf\xe9.mp4", "good.mp4"]
        assert "not UTF-8" in lines[0]["error"]
        assert {path.name for path in (tmp_path / "out").iterdir()} == {"good.json", "report.html"}


def test_results_replace_earlier_ones_and_nothing_else(films, config, checkpoint, tmp_path):
    one, out = str(films / "one.mp4"), tmp_path / "out"
    for _ in range(2):
        assert predict([one], config(out=str(out), format="srt")) == 0
    (out / "report.html").unlink()
    with pytest.raises(OutputError, match=r"one\.srt"):
        predict([one], config(out=str(out), format="srt"))
    with pytest.raises(OutputError, match="checkpoint is never overwritten"):
        predict([one], config(out=checkpoint))
    for mark, kind in (("environment.json", "a run"), ("evaluation.json", "an evaluation")):
        (tmp_path / mark).touch()
        (tmp_path / "report.html").write_text("theirs")
        with pytest.raises(OutputError, match=f"{kind} is never"):
            predict([one], config(out=str(tmp_path)))
        (tmp_path / mark).unlink()
    assert (tmp_path / "report.html").read_text() == "theirs"


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_a_stopped_command_goes_on_with_the_videos_that_are_not_done(
    kind, films, config, tmp_path, monkeypatch, capsys, caplog
):
    from kinema.inference.predictor import Predictor

    caplog.set_level(logging.INFO)
    predict_many, seen = Predictor.predict_many, []

    def stops(self, sources, *others):
        for outcome in predict_many(self, sources, *others):
            if seen:
                raise KeyboardInterrupt
            seen.append(outcome.path)
            yield outcome

    out, whole = tmp_path / "out", tmp_path / "whole"
    settings = {"format": kind, "step": 1.0}
    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "predict_many", stops)
        with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
            predict([str(films)], config(out=str(out), **settings))
    (done,) = out.glob(f"*.{kind}")
    stamp = done.stat().st_mtime_ns
    assert not (out / "report.html").exists()
    with pytest.raises(OutputError, match="another step"):
        predict([str(films)], config(out=str(out), format=kind, step=2.0))
    assert predict([str(films)], config(out=str(out), **settings)) == 0
    assert "1 of 2 videos were predicted before" in caplog.text
    assert done.stat().st_mtime_ns == stamp
    capsys.readouterr()
    assert predict([str(films)], config(out=str(whole), **settings)) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.suffix != ".html"} == {
        path.name: path.read_bytes() for path in whole.iterdir() if path.suffix != ".html"
    }
    for name in ("one.mp4", "two.mp4"):
        assert name in (out / "report.html").read_text()
    assert predict([str(films)], config(out=str(out), format=kind, step=2.0)) == 0  # a finished one is replaced


def test_a_film_is_never_drawn_over_another(films, config, tmp_path):
    one = str(films / "one.mp4")
    for target in (tmp_path / "other.mp4", tmp_path):
        (tmp_path / "one.mp4").write_text("a film")
        (tmp_path / "other.mp4").write_text("a film")
        with pytest.raises(OutputError, match="a video is never overwritten"):
            predict([one], config(render=str(target)))


@pytest.mark.parametrize("name", ["out.txt", "out.mp3", "out.avi"])
def test_labels_are_drawn_into_films_only(name, films, config, tmp_path):
    with pytest.raises(UsageError, match=r"\.mp4, .*folder"):
        predict([str(films / "one.mp4")], config(render=str(tmp_path / name)))
    assert not list(tmp_path.iterdir())


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


@pytest.mark.parametrize("flag", ["--image-fps", "--fps"])
def test_a_folder_of_frames_is_one_video_of_the_given_rate(checkpoint, image_folder, capsys, flag):
    from kinema.cli import run

    assert run(["predict", str(image_folder), "--model", checkpoint, "--json", flag, "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["path"], found["duration_s"]) == (str(image_folder), 6.0)
    assert run(["predict", str(image_folder), "--model", checkpoint, "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 12


def test_without_a_model_the_default_is_said_and_offline_where_its_file_goes(short_video, tmp_path, monkeypatch, fails):
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path))
    monkeypatch.setenv("KINEMA_OFFLINE", "1")
    status, err = fails("predict", str(short_video))
    said, refused = err.splitlines()
    assert status == 1
    assert "no --model given: x3d_m" in said
    assert "Apache-2.0" in said
    assert f"put the file at {tmp_path}/weights/x3d_m.pyth" in refused
    assert "https://dl.fbaipublicfiles.com/pytorchvideo/" in refused
