import os

import pytest

from kinema.errors import OutputError
from kinema.files import check_folder, whole_file, work_folder, write_json, write_text


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "result.txt"
    write_text(target, "old")
    with pytest.raises(OutputError, match="free some space"), whole_file(target) as temporary:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")
    assert [path.name for path in tmp_path.iterdir()] == ["result.txt"]
    assert target.read_text() == "old"


def test_a_file_may_have_the_longest_name_there_is(tmp_path):
    target = tmp_path / ("n" * 250 + ".json")
    write_text(target, "whole")
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_a_folder_that_cannot_be_made_is_found_before_the_work(tmp_path):
    check_folder(tmp_path / "new" / "deeper")
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="there is a file of that name"):
        check_folder(tmp_path / "file" / "below")


def test_json_is_indented_and_keeps_letters(tmp_path):
    write_json(tmp_path / "a.json", {"label": "Schl\u00e4gerei"})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "label": "Schl\u00e4gerei"\n}\n'


def test_a_work_folder_is_deleted_at_the_end_and_those_of_killed_processes_at_the_next_start(tmp_path):
    left = tmp_path / ".kinema.4194305.abc"  # beyond the numbers that processes of Linux get
    other = tmp_path / f".kinema.{os.getppid()}.abc"
    kept = tmp_path / ".kinema"
    for folder in (left, other, kept):
        folder.mkdir()
        (folder / "file").touch()
    with work_folder(tmp_path) as folder:
        (folder / "file").touch()
        assert not left.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([kept.name, other.name])
