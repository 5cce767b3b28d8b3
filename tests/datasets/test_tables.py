from __future__ import annotations

import pytest

from kinema.datasets import open_data
from kinema.errors import DataError


@pytest.mark.parametrize("above", ["\n", " \n\n", ",,\n"])
def test_lines_without_a_word_may_stand_above_the_heads(manifest, above):
    data = open_data(manifest(f"{above}path,label\na.mp4,run\nb.mp4,jump\n"))
    assert list(data.labels) == ["jump", "run"]
    tabs = open_data(manifest("\npath\tlabel\na.mp4\trun, fast\nb.mp4\tjump\n", "list.tsv"))
    assert list(tabs.labels) == ["jump", "run, fast"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("text", "number"),
    [
        ('path,label,end,note\nb.mp4,jump,,"two\nlines"\na.mp4,run,x,', 4),
        ("path,label,end,note\n\nb.mp4,jump,,\n\n\na.mp4,run,x,\n", 6),
        ('path,label,end,"no\nte"\na.mp4,run,x,\n', 3),
        ('path,label,end,note\n\na.mp4,run,x,"of\nthree\nlines"\n', 3),
    ],
)
def test_a_wrong_row_is_named_by_the_line_of_the_file_that_it_begins_on(manifest, text, number, end):
    path = manifest("")
    path.write_text(text, newline=end)
    with pytest.raises(DataError, match=rf"no span: start '', end 'x': .*list\.csv, line {number}: "):
        open_data(path)


def test_a_wrong_row_of_parquet_is_named_by_its_number(manifest):
    pq = pytest.importorskip("pyarrow.parquet")
    path = manifest("", "list.parquet")
    pq.write_table(pytest.importorskip("pyarrow").table({"path": ["b.mp4", "a.mp4"], "label": ["jump", ""]}), path)
    with pytest.raises(DataError, match=r"list\.parquet, row 2: "):
        open_data(path)
