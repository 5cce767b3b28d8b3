"""The table of costs is counted once."""

from __future__ import annotations

import pytest

from kinema.inspection import costs as module
from kinema.inspection.costs import Cost, costs


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_costs_are_counted_once_and_then_read(home, monkeypatch):
    first = costs(["lecture_3d_cnn"])
    assert first["lecture_3d_cnn"] == Cost(9034, 89_579_760, (3, 20, 64, 64))
    counted = []
    monkeypatch.setattr(module, "count", lambda name: counted.append(name) or Cost(1, 2, (3, 4, 5, 6)))
    second = costs(["lecture_3d_cnn", "single_frame_tiny"])
    assert counted == ["single_frame_tiny"]
    assert second == {**first, "single_frame_tiny": Cost(1, 2, (3, 4, 5, 6))}
    assert len(list(home.glob("costs-*.json"))) == 1


def test_a_change_of_the_code_counts_anew(home, monkeypatch):
    costs(["lecture_3d_cnn"])
    monkeypatch.setattr(module, "fingerprint", lambda: "other")
    monkeypatch.setattr(module, "count", lambda name: Cost(1, 2, (3, 4, 5, 6)))
    assert costs(["lecture_3d_cnn"])["lecture_3d_cnn"].params == 1
    assert [path.name for path in home.glob("costs-*.json")] == ["costs-other.json"]


@pytest.mark.parametrize("damage", ["", "[1]", '{"lecture_3d_cnn": {"params": 3}}'])
def test_a_damaged_table_is_counted_anew(home, damage):
    costs(["lecture_3d_cnn"])
    next(home.glob("costs-*.json")).write_text(damage)
    assert costs(["lecture_3d_cnn"])["lecture_3d_cnn"].params == 9034


def test_a_cache_that_cannot_be_written_only_costs_time(home):
    home.write_text("a file in its place")
    assert costs(["lecture_3d_cnn"])["lecture_3d_cnn"].params == 9034
