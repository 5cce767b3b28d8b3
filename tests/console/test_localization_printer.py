from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kinema.console.localization_printer import LocalizationFiles, LocalizationPrinter, file_names
from kinema.errors import VideoError
from kinema.localizations import Localization
from kinema.predictions import Failure, Prediction, Segment
from kinema.types import TimeSpan


@pytest.fixture
def located() -> Localization:
    labels = ("walk [slow]", "jump")
    segments = tuple(Segment(TimeSpan(2 * i, 2 * i + 1), "walk [slow]", 0.5) for i in range(150))
    segments += (Segment(TimeSpan(60, 3700), "jump", 12.5),)
    return Localization(
        Prediction("a.mp4", labels, np.zeros(2, np.float32), TimeSpan(0, 3700), None, segments), "m", "clips"
    )


def test_a_long_table_says_where_the_rest_is(located, capsys) -> None:
    printer = LocalizationPrinter("table", single=True, to_files=False, stats=True)
    printer(located)
    printer.finish()
    out = capsys.readouterr().out
    assert "51 more; --format csv" in out
    assert "walk [slow]" in out
    assert out.count("walk [slow]") == 101
    assert "1:01:40.0" in out


def test_a_line_counts_labels_and_json_has_statistics(located, capsys) -> None:
    LocalizationPrinter("table", single=False, to_files=False, stats=False)(located)
    assert capsys.readouterr().out == "a.mp4  walk [slow] x 150, jump\n"
    printer = LocalizationPrinter("json", single=False, to_files=True, stats=True)
    printer(located)
    printer(Failure("b.mp4", VideoError("no video", "b.mp4")))
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert {row["label"]: row["count"] for row in first["statistics"]} == {"walk [slow]": 150, "jump": 1}
    assert set(second) == {"path", "error"}


def test_the_report_shows_timelines_statistics_and_failures(located, tmp_path) -> None:
    files = LocalizationFiles(str(tmp_path), "fiftyone", {"a.mp4": Path("x/a")}, stats=True)
    files.add(located)
    files.add(Failure("b.mp4", VideoError("no video", "b.mp4")))
    text = files.finish("runs/m").read_text()
    assert "runs/m, way clips" in text
    assert "b.mp4" in text
    assert "mean gap (s)" in text
    assert json.loads((tmp_path / "data.json").read_text()).keys() == {"x/a.mp4"}
    assert list(json.loads((tmp_path / "labels.json").read_text())["labels"]) == ["x/a"]


def test_file_names_are_those_that_are_written() -> None:
    names = {"a.mp4": Path("x/a")}
    assert file_names("table", names) == ["x/a.json"]
    assert file_names("elan", names) == ["x/a.eaf"]
    assert file_names("activitynet", names) == ["activitynet.json"]
