"""`kinema reel` from the command line."""

from __future__ import annotations

import json

from kinema import cli


def test_reels_are_a_data_set_for_located_actions(light_and_dark, tmp_path, capsys):
    out = str(tmp_path / "reels")
    command = ["reel", str(light_and_dark), "--background", "dark", "--clips-per-video", "2", "4", "--out", out]
    assert cli.run([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["folder"], found["actions"]) == (out, {"light": 6})
    assert cli.run(["check", out, "--near=false", "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert checked["located"]["num_actions"] == 6
    assert not checked["located"]["past_end"]
    assert cli.run(command) == 1
    assert "the folder is not empty" in capsys.readouterr().err
    assert cli.run([*command[:-1], str(tmp_path / "again")]) == 0
    assert "light 6; videos without any" in capsys.readouterr().out
