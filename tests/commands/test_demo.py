"""`kinema demo`, as a user runs it."""

from __future__ import annotations

import json

import pytest

from kinema import cli


def fails(capsys, *arguments: str) -> tuple[int, str]:
    capsys.readouterr()
    status = cli.run(list(arguments))
    return status, capsys.readouterr().err


def test_the_demonstration_runs_from_drawing_to_report(tmp_path, capsys):
    out = tmp_path / "demo"
    command = ["demo", "--out", str(out), "--per-class", "2", "--motion-epochs", "1", "--appearance-epochs", "1"]
    assert cli.run([*command, "--json"]) == 0
    printed, told = capsys.readouterr()
    assert [line.split(" (")[0] for line in told.splitlines() if "four networks" in line] == [
        "kinema: videos of motion",
        "kinema: videos of appearance",
    ]
    result = json.loads(printed)
    assert len(result["motion"]) == len(result["appearance"]) == 5
    assert result["film"]["segments"][-1]["end_s"] == pytest.approx(24, abs=0.5)
    page = (out / "report.html").read_text()
    assert "<video" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    status, err = fails(capsys, *command)
    assert status == 1
    assert "--overwrite" in err
