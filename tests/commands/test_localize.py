"""`kinema localize` on videos that the tests draw: every kind of input and output, wrong requests, settings from data."""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from kinema import cli
from kinema.commands.localize import LocalizeConfig, localize
from kinema.datasets.located import open_located
from kinema.errors import OutputError, UsageError
from kinema.video import open_video


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    """Tells dark frames from light ones: random layers, and a classifier between their features of both."""
    import torch

    from kinema import models
    from kinema.weights.checkpoint import ModelCard, save_checkpoint

    torch.manual_seed(0)
    network = models.build("single_frame_tiny", num_classes=2).eval()
    with torch.no_grad():
        shades = [torch.full((1, *network.spec.shape), (level / 255 - 0.45) / 0.225) for level in (30, 220)]
        dark, light = (network.features(clip)[0] for clip in shades)
        way = light - dark
        scale = 10 / (way @ way)
        network.classifier.weight.copy_(torch.stack([-way, way]) * scale)
        middle = (way @ (light + dark)) / 2 * scale
        network.classifier.bias.copy_(torch.stack([middle, -middle]))
    folder = tmp_path_factory.mktemp("run") / "best"
    save_checkpoint(folder, network, ModelCard.of(network, ("dark", "light")))
    return str(folder)


@pytest.fixture(scope="module")
def films(tmp_path_factory, write_frames: Callable[..., Path]) -> Path:
    folder = tmp_path_factory.mktemp("films")
    (folder / "more").mkdir()
    for name, dark in (("one", 40), ("more/two", 70)):
        frames = [np.full((48, 64, 3), 30 if i < dark else 220, np.uint8) for i in range(100)]
        write_frames(folder / f"{name}.mp4", frames)
    return folder


@pytest.fixture
def config(checkpoint) -> Callable[..., LocalizeConfig]:
    return lambda **settings: LocalizeConfig(model=checkpoint, device="cpu", precision="f32", **settings)


def _segments(document: dict) -> list[tuple[str, float, float]]:
    return [(one["label"], one["start_s"], one["end_s"]) for one in document["segments"]]


def test_one_video_gives_one_document_with_model_and_way(films, config, checkpoint, capsys) -> None:
    assert localize([str(films / "one.mp4")], config(json=True, stats=True)) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"path", "duration_s", "top", "timeline", "segments", "model", "way", "statistics"}
    assert (found["model"], found["way"]) == (checkpoint, "clips")
    (dark, start_s, border_s), (light, next_s, end_s) = _segments(found)
    assert (dark, light, start_s, end_s) == ("dark", "light", 0.0, 4.0)
    assert border_s == next_s == pytest.approx(1.6, abs=0.06)
    assert [(row["label"], row["count"]) for row in found["statistics"]] == [("dark", 1), ("light", 1)]


def test_a_folder_gives_a_line_each_and_names_what_cannot_be_read(films, config, text_file, capsys, caplog) -> None:
    assert localize([str(films), str(text_file), "missing.mp4"], config(json=True)) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {Path(line["path"]).name for line in lines if "error" not in line} == {"one.mp4", "two.mp4"}
    assert {line["path"] for line in lines if "error" in line} == {str(text_file), "missing.mp4"}
    assert "missing.mp4" in caplog.text


def test_nothing_found_is_one_line_and_no_failure(films, config, capsys) -> None:
    assert localize([str(films / "one.mp4")], config(threshold=1.1)) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["nothing found"]
    assert localize([str(films)], config(threshold=1.1)) == 0
    assert all(line.endswith("nothing found") for line in capsys.readouterr().out.splitlines())


def test_several_videos_have_a_line_each_and_statistics_of_all(films, config, capsys) -> None:
    assert localize([str(films)], config(stats=True)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.endswith(".mp4  dark, light") for line in lines[:2])
    rows = [line.split() for line in lines[lines.index("all videos") + 1 :] if line]
    assert [row[:2] for row in rows[1:]] == [["dark", "2"], ["light", "2"]]


FORMATS = {
    "json": ["one.json", "more/two.json"],
    "png": ["one.png", "more/two.png"],
    "fiftyone": ["labels.json", "data.json"],
}


@pytest.mark.parametrize("kind", FORMATS)
def test_files_mirror_folders_and_replace_only_results(kind, films, config, tmp_path) -> None:
    for _ in range(2 if kind == "json" else 1):  # the second time replaces the first
        assert localize([str(films)], config(out=str(tmp_path / "out"), format=kind)) == 0
    files = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert files == {*FORMATS[kind], "report.html"}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / FORMATS[kind][0]).write_text("mine")
    with pytest.raises(OutputError, match="file of that name"):
        localize([str(films)], config(out=str(tmp_path / "other"), format=kind))


@pytest.mark.parametrize("kind", ["activitynet", "elan", "boris", "csv"])
def test_what_is_written_is_read_again_to_a_millisecond(kind, films, config, tmp_path, capsys) -> None:
    localize([str(films)], config(json=True))
    truth = {Path(d["path"]).name: _segments(d) for d in map(json.loads, capsys.readouterr().out.splitlines())}
    assert localize([str(films)], config(out=str(tmp_path / "out"), format=kind)) == 0
    if kind == "activitynet":
        read = json.loads((tmp_path / "out" / "activitynet.json").read_text())["results"]
        again = {
            f"{name}.mp4": sorted((one["label"], *one["segment"]) for one in segments)
            for name, segments in read.items()
        }
    elif kind == "csv":
        texts = [path.read_text() for path in (tmp_path / "out").rglob("*.csv")]
        rows = [row for text in texts for row in csv.DictReader(io.StringIO(text))]
        again = {}
        for row in rows:
            again.setdefault(Path(row["path"]).name, []).append(
                (row["label"], float(row["start_s"]), float(row["end_s"]))
            )
    else:
        data = open_located(tmp_path / "out", format=kind)
        again = {
            Path(video.path).name: [(one.label, one.span.start_s, one.span.end_s) for one in video.segments]
            for video in data.videos
        }
    assert set(again) == set(truth)
    for name, segments in truth.items():
        for (label, *times), (own, *own_times) in zip(segments, again[name], strict=True):
            assert label == own
            assert own_times == pytest.approx(times, abs=0.001)


def test_text_formats_print_whole_documents(films, config, capsys) -> None:
    for kind in ("csv", "boris"):
        assert localize([str(films)], config(format=kind)) == 0
        rows = list(csv.reader(io.StringIO(capsys.readouterr().out), delimiter="," if kind == "csv" else "\t"))
        assert len(rows) == 5
        assert len({len(row) for row in rows}) == 1
    assert localize([str(films / "one.mp4")], config(format="elan")) == 0
    assert ElementTree.fromstring(capsys.readouterr().out).tag == "ANNOTATION_DOCUMENT"
    assert localize([str(films)], config(format="activitynet")) == 0
    assert set(json.loads(capsys.readouterr().out)["results"]) == {"one", "two"}


def test_the_rendered_video_names_the_segments(films, config, tmp_path) -> None:
    target = tmp_path / "out.mp4"
    assert localize([str(films / "one.mp4")], config(render=str(target))) == 0
    with open_video(target) as video:
        assert video.info.num_frames == 100
    with pytest.raises(OutputError, match="never overwritten"):
        localize([str(films / "one.mp4")], config(render=str(target)))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"format": "png"}, "--out FOLDER"),
        ({"format": "fiftyone"}, "--out FOLDER"),
        ({"format": "elan"}, "2 videos need a file each"),
        ({"background": ("drak",)}, "Did you mean dark"),
        ({"feature_cache": "features"}, "--feature-cache"),
        ({"render": "out.txt"}, "cannot draw"),
    ],
)
def test_wrong_requests_are_one_line(settings, words, films, config, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=words):
        localize([str(films)], config(**settings))
    assert not list(tmp_path.iterdir())


def test_no_video_is_wrong_usage(checkpoint, capsys) -> None:
    assert cli.run(["localize", "--model", checkpoint]) == 2
    assert "nothing to localize" in capsys.readouterr().err
    assert cli.run(["localize", "a.mp4", "--model", checkpoint, "--threshold", "nan"]) == 2


def test_settings_are_chosen_said_saved_and_used(films, checkpoint, tmp_path, capsys, caplog) -> None:
    import shutil

    run = tmp_path / "run"
    shutil.copytree(checkpoint, run)
    rows = ["path,label,start,end", f"{films}/one.mp4,light,1.6,4", f"{films}/more/two.mp4,light,2.8,4"]
    (tmp_path / "truth.csv").write_text("\n".join(rows) + "\n")
    own = {"model": str(run), "device": "cpu", "precision": "f32"}
    with caplog.at_level(logging.INFO, "kinema"):
        assert localize([], LocalizeConfig(**own, settings_from=str(tmp_path / "truth.csv"))) == 0
    assert "plain argmax" in caplog.text
    assert "saved" in caplog.text
    assert json.loads((run / "model.json").read_text())["grouping"]["background"] == ["dark"]
    assert (run / "model.safetensors").read_bytes() == (Path(checkpoint) / "model.safetensors").read_bytes()
    assert localize([str(films / "one.mp4")], LocalizeConfig(**own, json=True)) == 0
    ((label, start_s, _),) = _segments(json.loads(capsys.readouterr().out))
    assert label == "light"
    assert start_s == pytest.approx(1.6, abs=0.2)


def test_a_stopped_command_goes_on_where_it_was(films, config, tmp_path, monkeypatch, capsys, caplog) -> None:
    from kinema.inference.predictor import Predictor

    out, localize_many = tmp_path / "out", Predictor.localize_many

    def stopped(self, *args):  # type: ignore[no-untyped-def]
        yield next(localize_many(self, *args))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt, match="goes on"):
        patch.setattr(Predictor, "localize_many", stopped)
        localize([str(films)], config(out=str(out), json=True))
    capsys.readouterr()
    with caplog.at_level(logging.INFO, "kinema"):
        assert localize([str(films)], config(out=str(out), json=True)) == 0
    assert "1 of 2 videos were done before" in caplog.text
    resumed = capsys.readouterr().out
    assert localize([str(films)], config(json=True)) == 0
    assert capsys.readouterr().out == resumed
    assert not list(out.rglob(".*"))
