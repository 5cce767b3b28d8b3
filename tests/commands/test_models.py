"""`kinema models`: networks and published weights, as JSON or as a table at any width."""

from __future__ import annotations

import json
import re

import pytest

from kinema.commands.models import ModelsConfig, models
from kinema.models import VARIANTS


@pytest.fixture
def quick_counts(monkeypatch, tmp_path) -> None:
    """Only one network is really counted; the page on networks has them all tested."""
    from kinema.inspection import costs

    real = costs.count
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path))
    monkeypatch.setattr(
        costs, "count", lambda name: real(name) if name == "single_frame" else costs.Cost(1, 2, (3, 4, 5, 6))
    )


def test_list_of_models_is_complete(capsys, quick_counts):
    assert models(ModelsConfig(json=True)) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == list(VARIANTS)
    assert all(list(row) == ["name", "params", "macs", "input", "weights", "paper"] for row in rows)
    assert next(row for row in rows if row["name"] == "single_frame")["params"] == 73_908_071


def test_list_of_models_as_a_table_shows_full_names(capsys, monkeypatch, quick_counts):
    names = ["single_frame_tiny", "early_fusion_multires_bn"]
    monkeypatch.setattr("kinema.models.VARIANTS", {name: VARIANTS[name] for name in names})
    assert models() == 0
    text = capsys.readouterr().out
    assert all(any(line.startswith(f"{name} ") for line in text.splitlines()) for name in names)


def test_networks_name_their_published_weights(capsys, quick_counts):
    models(ModelsConfig(json=True))
    rows = {row["name"]: row["weights"] for row in json.loads(capsys.readouterr().out)}
    assert rows["slowfast_r50"] == ["slowfast_r50_8x8"]
    assert rows["i3d_rgb"] == ["i3d_rgb", "i3d_rgb_hassony2"]
    assert rows["slow_fusion"] == []


def test_list_of_published_weights_says_what_they_are_worth(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "r3d_18.pth").touch()
    assert models(ModelsConfig(weights=True, json=True)) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    row = rows["r3d_18"]
    assert (row["network"], row["labels"], row["checksum"]) == ("r3d_18", "kinetics400", "sha256 b3b3357e")
    assert row["metrics"]["kinetics400 hit@1, 5 clips at 15 fps"] == 0.632
    assert [name for name, row in rows.items() if row["cached"]] == ["r3d_18"]
    assert rows["slowfast_r50_8x8"]["checksum"] == "none published"

    assert models(ModelsConfig(weights=True)) == 0
    lines = capsys.readouterr().out.splitlines()
    (line,) = (line for line in lines if line.startswith("slowfast_r50_8x8 "))
    assert all(part in line for part in ("slowfast_r50", "kinetics400", "76.9%", "10x3 views", "Apache-2.0"))


def _at_width(monkeypatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[\d*m", "", text)  # without what makes headings bold


@pytest.mark.parametrize("columns", [20, 80, 120, 200])
def test_lists_of_names_show_each_name_whole_at_any_width(columns, capsys, monkeypatch, quick_counts):
    from kinema.weights.published import published_names

    _at_width(monkeypatch, columns)
    for config, names in ((ModelsConfig(), VARIANTS), (ModelsConfig(weights=True), published_names())):
        models(config)
        lines = capsys.readouterr().out.splitlines()
        table = lines[1 : lines.index("")]
        firsts = [line.split()[0] for line in table if not line.startswith(" ")]
        assert firsts == list(names)
        assert "…" not in "".join(table)
        assert max(map(len, table)) <= max(columns, *map(len, names))


def test_at_80_columns_less_important_columns_go_and_are_named(capsys, monkeypatch, quick_counts):
    _at_width(monkeypatch, 80)
    models()
    out = _plain(capsys.readouterr().out)
    assert out.splitlines()[0].split() == ["network", "M", "params", "GMACs", "note"]
    assert "no room here for: c x t x h x w, published weights (hit@1)" in " ".join(out.split())
    models(ModelsConfig(weights=True))
    out = _plain(capsys.readouterr().out)
    assert out.splitlines()[0].split() == ["weights", "network", "classes", "hit@1", "here"]
    assert "no room here for: measured with, licence, checksum" in " ".join(out.split())


def test_a_note_says_once_that_any_backbone_goes(capsys, quick_counts):
    models()
    lines = capsys.readouterr().out.splitlines()
    assert all(line.count("backbone") <= 1 for line in lines)
    assert any(line.startswith("single_frame ") and "any backbone" in line for line in lines)
