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


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-8"])
def test_encodings_of_spreadsheets_are_read(manifest, encoding):
    path = manifest("")
    path.write_bytes("path\tlabel\r\na.mp4\tläuft\r\nb.mp4\tspringt\r\n".encode(encoding))
    assert list(open_data(path).labels) == ["läuft", "springt"]


def test_another_encoding_and_a_workbook_are_errors(manifest):
    path = manifest("")
    path.write_bytes("path,label\na.mp4,läuft\nb.mp4,x\n".encode("cp1252"))
    with pytest.raises(DataError, match=r"cannot read this table: .*UTF-8"):
        open_data(path)
    path.write_bytes(b"PK\x03\x04\x14\x00\x06\x00" + bytes(100))
    with pytest.raises(DataError, match=r"an Excel workbook, not a CSV file: .*save it as CSV"):
        open_data(path)


@pytest.mark.parametrize(
    "text",
    [
        "path;label;note, free\na.mp4;run;x\nb.mp4;jump;y\n",
        "sep=;\npath;label\na.mp4;run\nb.mp4;jump\n",
        "path|label\na.mp4|run\nb.mp4|jump\n",
        "path,label;kind\na.mp4,run\nb.mp4,jump\n",
        "path;label;start;end\na.mp4;run;0,5;1,5\nb.mp4;jump;;\n",
        'path,label,"note; more"\na.mp4,run,"x; y, z"\nb.mp4,jump,y\n',
        "path\tlabel\tnote, free; long\na.mp4\trun\tx\nb.mp4\tjump\ty, z\n",
        "path,label\ra.mp4,run\rb.mp4,jump\r",
        ' path , label ,\n "a.mp4" , "run" ,\n b.mp4 , jump ,\n',
    ],
)
def test_the_delimiter_is_the_one_that_divides_all_rows_alike(manifest, text):
    data = open_data(manifest(text.replace("label;kind", "class")))
    assert [(e.path[-5:], e.label) for e in data.examples] == [("a.mp4", "run"), ("b.mp4", "jump")]


def test_a_delimiter_inside_a_cell_without_quotes_is_an_error(manifest):
    with pytest.raises(
        DataError, match=r"3 cells in a row, but 2 columns: .*line 3: put a cell that holds ',' into quotes"
    ):
        open_data(manifest("path,label\na.mp4,run\nb.mp4,jump, high\nc.mp4,run\n"))
    with pytest.raises(DataError, match="6 cells in a row, but 4 columns"):
        open_data(manifest("path,label,start,end\na.mp4,run,0,5,1,5\nb.mp4,jump,0,5,1,5\n"))


def test_a_quotation_mark_that_is_not_closed_is_an_error(manifest):
    with pytest.raises(DataError, match=r"a quotation mark is not closed: .*line 3: "):
        open_data(manifest('path,label\na.mp4,run\nb.mp4,"jump\nc.mp4,run\nd.mp4,jump\n'))
    with pytest.raises(DataError, match=r"a line break in a path or label: .*line 3: "):
        open_data(manifest('path,label\na.mp4,run\nb.mp4,"jump\nc.mp4,"run\nd.mp4,jump\n'))


@pytest.mark.parametrize(
    ("start", "end", "span"),
    [
        ("00:01:23.5", "00:01:24", (83.5, 84)),
        ("1:23.5", "1:24", (83.5, 84)),
        ("01:00:00", "1:00:01.25", (3600, 3601.25)),
        ("0.5 s", "2s", (0.5, 2)),
        ("0.5sec", "2 seconds", (0.5, 2)),
        ("1e1", "2e1", (10, 20)),
        ("NaN", "3", (0, 3)),
    ],
)
def test_times_are_seconds_or_clocks(manifest, start, end, span):
    data = open_data(manifest(f"path,label,start,end\na.mp4,run,{start},{end}\nb.mp4,jump,,nan\n"))
    assert (data.examples[0].span.start_s, data.examples[0].span.end_s) == span
    assert data.examples[1].span is None


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("50%", "60%"),
        ("-1", "2"),
        ("0:0:61", "0:2:00"),
        ("00:00:01:12", "00:00:02:12"),
        ("2", "2"),
        ("0", "inf"),
        ("1 min", "2 min"),
    ],
)
def test_other_times_are_errors(manifest, start, end):
    with pytest.raises(DataError, match=r"no span: start .*line 2: give seconds or h:m:s"):
        open_data(manifest(f"path,label,start,end\na.mp4,run,{start},{end}\nb.mp4,jump,,\n"))


def test_empty_cells_of_pandas_are_empty(manifest):
    pq, pa = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    path = manifest("", "list.parquet")
    nan, number = float("nan"), float(1)
    pq.write_table(
        pa.table(
            {
                "path": ["a.mp4", "b.mp4"],
                "label": [0, 1],
                "start": [nan, number],
                "end": [nan, 2.5],
                "split": [None, None],
            }
        ),
        path,
    )
    assert [(e.label, e.span and e.span.end_s, e.split) for e in open_data(path).examples] == [
        ("0", None, None),
        ("1", 2.5, None),
    ]


@pytest.mark.parametrize("label", ["", "nan", "NaN"])
def test_a_missing_label_is_an_error(manifest, label):
    with pytest.raises(DataError, match="an empty path or label"):
        open_data(manifest(f"path,label\na.mp4,{label}\nb.mp4,jump\n"))


@pytest.mark.parametrize(
    "label", ["\"['run', 'jump']\"", '"[{""start"": 1, ""labels"": [""x""]}]"', '"{""choices"": 1}"']
)
def test_a_list_as_a_label_is_an_error(manifest, label):
    with pytest.raises(DataError, match=r"a list or JSON as label: .*line 2: write names, several as run;jump"):
        open_data(manifest(f"path,label\na.mp4,{label}\nb.mp4,jump\n"))
