"""The files that a command gets."""

from __future__ import annotations

import io
import os

import pytest

from kinema.console.inputs import list_sources
from kinema.errors import UsageError


def test_files_folders_and_patterns_are_listed_once_each(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    sources, failures = list_sources([str(tmp_path / "b.mp4"), str(tmp_path), str(tmp_path / "a*")])
    assert sources == [str(tmp_path / "b.mp4"), str(tmp_path / "a.mp4")]
    assert failures == []


def test_paths_that_lead_nowhere_come_with_their_reason(tmp_path):
    sources, [(path, error)] = list_sources([str(tmp_path / "none.mp4")])
    assert (sources, path) == ([], str(tmp_path / "none.mp4"))
    assert "no such file" in str(error)


def test_a_dash_stands_for_the_lines_of_standard_input(tmp_path, monkeypatch):
    (tmp_path / "a.mp4").touch()
    monkeypatch.setattr("sys.stdin", io.StringIO(f"\n{tmp_path / 'a.mp4'}\r\n"))
    assert list_sources(["-"]) == ([str(tmp_path / "a.mp4")], [])


def test_names_that_are_not_utf_8_are_failures_that_can_be_printed(tmp_path):
    bad = os.fsdecode(bytes(tmp_path) + b"/caf\xe9.mp4")
    sources, [(path, error)] = list_sources([bad])
    assert (sources, path) == ([], f"{tmp_path}/caf\\xe9.mp4")
    assert "not UTF-8" in str(error)


def test_no_input_at_all_is_wrong_usage(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(UsageError, match="nothing to predict"):
        list_sources(["-"])
