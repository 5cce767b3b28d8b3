from __future__ import annotations

import pytest

from kinema.datasets import open_data
from kinema.datasets.formats.manifest import write_manifest
from kinema.errors import DataError, UnknownName, UsageError
from kinema.types import TimeSpan


def test_paths_count_from_the_manifests_folder(manifest):
    path = manifest("path,label\na.mp4,run\nb.mp4,jump\n")
    data = open_data(path)
    assert [example.path for example in data.examples] == [str(path.parent / "a.mp4"), str(path.parent / "b.mp4")]
    assert list(data.labels) == ["jump", "run"]


def test_all_columns_are_understood(manifest):
    data = open_data(
        manifest("path,label,start,end,split,group\na.mp4,run,1.5,3,train,g1\nb.mp4,jump,,,train,\nc.mp4,run,,,val,\n")
    )
    first, _, second = data.examples
    assert (first.span, first.split, first.group) == (TimeSpan(1.5, 3), "train", "g1")
    assert (second.span, second.split, second.group) == (None, "valid", None)


def test_other_delimiters_and_spellings_and_a_byte_order_mark(manifest):
    data = open_data(manifest("\ufefffile;class\na.mp4;run\nb.mp4;jump\n"))
    assert data.counts() == {"jump": 1, "run": 1}
    assert open_data(manifest("filename\taction\na.mp4\trun\nb.mp4\tjump\n", "list.tsv")).counts() == data.counts()


def test_several_labels_make_a_multi_label_set(manifest):
    data = open_data(manifest("path,label\na.mp4,run; jump\nb.mp4,run|fall\n"))
    assert data.multi_label
    assert [example.labels for example in data.examples] == [("run", "jump"), ("run", "fall")]
    assert data.counts() == {"fall": 1, "jump": 1, "run": 2}


def test_columns_make_groups(manifest):
    path = manifest("path,label,place,camera\na.mp4,run,hall,1\nb.mp4,jump,yard,2\n")
    assert [example.group for example in open_data(path, group_by=("place", "camera")).examples] == ["hall/1", "yard/2"]


def test_rows_whose_group_columns_are_empty_have_no_group(manifest):
    path = manifest("path,label,place,camera\na.mp4,run,,\nb.mp4,jump,,\nc.mp4,run,hall,\nd.mp4,jump,,2\n")
    found = open_data(path, group_by=("place", "camera"))
    assert [example.group for example in found.examples] == [None, None, "hall/", "/2"]


def test_an_unknown_column_says_the_nearest(manifest):
    with pytest.raises(UnknownName, match="camera"):
        open_data(manifest("path,label,camera\na.mp4,run,1\nb.mp4,jump,2\n"), group_by=("camra",))


def test_a_missing_column_says_which_to_rename(manifest):
    with pytest.raises(DataError, match=r"no column 'label'.*Did you mean lable\? Rename"):
        open_data(manifest("path,lable\na.mp4,run\n"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.mp4,,,,", r"list\.csv, line 3: fill"),
        ("a.mp4,run,3,1,", "start < end"),
        ("a.mp4,run,3,,", "start < end"),
        ("a.mp4,run,x,4,", "start 'x'"),
        ("a.mp4,run,,,tarin", "no part called 'tarin'"),
    ],
)
def test_a_wrong_row_is_named(manifest, row, message):
    with pytest.raises(DataError, match=message):
        open_data(manifest(f"path,label,start,end,split\nb.mp4,jump,,,train\n{row}\n"))


def test_a_file_that_is_written_twice_is_an_error_but_two_spans_of_it_are_not(manifest):
    with pytest.raises(DataError, match="twice"):
        open_data(manifest("path,label\na.mp4,run\na.mp4,jump\n"))
    assert len(open_data(manifest("path,label,start,end\na.mp4,run,0,1\na.mp4,jump,1,2\n"))) == 2


@pytest.mark.parametrize("other", ["./a.mp4", "x/../a.mp4", "FOLDER/a.mp4", "../NAME/a.mp4"])
def test_a_file_spelt_in_two_ways_is_written_twice(manifest, other):
    path = manifest("")
    other = other.replace("FOLDER", str(path.parent)).replace("NAME", path.parent.name)
    path.write_text(f"path,label\na.mp4,run\n{other},jump\n")
    with pytest.raises(DataError, match=r"1 examples are listed twice: .*, a\.mp4"):
        open_data(path)


def test_a_path_is_spelt_in_one_way(manifest):
    plain = open_data(manifest("path,label\na.mp4,run\nb.mp4,jump\n"))
    dotted = open_data(manifest("path,label\n./a.mp4,run\n.//b.mp4,jump\n"))
    assert dotted.examples == plain.examples
    assert dotted.fingerprint == plain.fingerprint


def test_an_empty_manifest_says_what_goes_in(manifest):
    with pytest.raises(DataError, match="path,label"):
        open_data(manifest("path,label\n"))


def test_a_folder_with_a_manifest_is_read_by_it(manifest):
    path = manifest("path,label\na.mp4,run\nb.mp4,jump\n", "manifest.csv")
    data = open_data(path.parent)
    assert len(data) == 2
    assert data.name == path.parent.name


@pytest.mark.parametrize("name", ["out.csv", "out.tsv", "out.parquet"])
def test_what_is_written_is_read_back_the_same(manifest, name):
    path = manifest(
        "path,label,start,end,split,group\na.mp4,run;j|ump,0.1,2,train,g\nb.mp4,a\\;b,,,valid,\nc.mp4,a\\;b;run;j;ump,,,train,\n"
    )
    data = open_data(path)
    assert "a;b" in data.labels
    write_manifest(data, path.with_name(name))
    again = open_data(path.with_name(name))
    assert again.examples == data.examples
    assert again.fingerprint == data.fingerprint


def test_a_written_manifest_may_lie_elsewhere(manifest, tmp_path):
    data = open_data(manifest("path,label\na.mp4,run\nb.mp4,jump\n"))
    write_manifest(data, tmp_path / "deep" / "list.csv")
    assert open_data(tmp_path / "deep" / "list.csv").examples == data.examples


def test_an_unknown_ending_is_refused(manifest):
    with pytest.raises(UsageError, match=r"\.csv"):
        write_manifest(open_data(manifest("path,label\na.mp4,run\nb.mp4,jump\n")), "list.xlsx")
