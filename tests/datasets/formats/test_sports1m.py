from __future__ import annotations

from pathlib import Path

import pytest

from kinema.datasets import open_data
from kinema.errors import DataError


@pytest.fixture
def sports1m(touch) -> Path:
    root = touch("videos/UDqivjS-lpI.mp4", "videos/two.mp4", "own film.mp4")
    (root / "labels.txt").write_text("boomerang\nboxing\nbowling\n")
    (root / "train_partition.txt").write_text(
        "https://www.youtube.com/watch?v=UDqivjS-lpI 0,2\nhttps://www.youtube.com/watch?v=gone 1\nown film.mp4 1\n"
        "http://www.youtube.com/watch?v=two 1\n"
    )
    (root / "test_partition.txt").write_text("http://www.youtube.com/watch?v=two 0\n")
    return root


def test_sports1m_reads_links_paths_and_several_labels(sports1m, caplog):
    data = open_data(sports1m)
    found = {Path(e.path).name: (e.labels, e.split) for e in data.examples}
    assert found == {
        "UDqivjS-lpI.mp4": (("boomerang", "bowling"), "train"),
        "own film.mp4": (("boxing",), "train"),
        "two.mp4": (("boomerang",), "test"),
    }
    assert list(data.labels) == ["boomerang", "boxing", "bowling"]
    assert data.multi_label
    assert "left out 1 of 5" in caplog.text
    assert "two lists" in caplog.text


def test_sports1m_names_the_line_of_what_is_no_entry(sports1m):
    (sports1m / "train_partition.txt").write_text("own film.mp4 1\n\n\nown film.mp4\n")
    with pytest.raises(DataError, match=r"train_partition\.txt, line 4: write"):
        open_data(sports1m)


def test_sports1m_refuses_a_class_number_without_a_name(sports1m):
    (sports1m / "train_partition.txt").write_text("own film.mp4 3\n")
    with pytest.raises(DataError, match="no class number 3"):
        open_data(sports1m)
