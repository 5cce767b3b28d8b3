from __future__ import annotations

import json
import subprocess
import sys

import pytest

from kinema.commands.check import CheckConfig, check
from kinema.datasets import open_data
from kinema.datasets.formats.manifest import read_table
from kinema.errors import DataError, OutputError


@pytest.fixture
def folder(tmp_path, counting_video, short_video, text_file):
    for name, path in (("a/1.mp4", counting_video), ("b/2.mp4", short_video), ("b/broken.mp4", text_file)):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).symlink_to(path)
    return tmp_path / "data"


def test_a_bad_file_gives_exit_status_1_and_one_json_document(folder, capsys):
    assert check(str(folder), CheckConfig(json=True)) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["ok"]
    assert [bad["path"] for bad in found["bad"]] == [str(folder / "b/broken.mp4")]
    assert found["classes"] == {"a": 1, "b": 2}


def test_the_table_names_classes_and_bad_files(folder, capsys):
    check(str(folder))
    out = capsys.readouterr().out
    assert "broken.mp4" in out
    assert "bad files: 1 of 3" in out


def test_the_manifest_leaves_out_what_is_bad_and_is_sound(folder, tmp_path, capsys):
    clean = tmp_path / "clean.csv"
    check(str(folder), CheckConfig(out=str(clean)))
    assert len(open_data(clean)) == 2
    assert check(str(clean), CheckConfig(json=True)) == 0


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_the_manifest_keeps_what_else_is_known_of_the_films(folder, tmp_path, ending):
    """Cameras, for instance, by which the data is to be divided later."""
    own, clean = tmp_path / "list.csv", tmp_path / f"clean.{ending}"
    own.write_text(
        "file;label;camera;note\n"
        f"{folder}/a/1.mp4;a;west;two words\n{folder}/b/2.mp4;b;east;\n{folder}/b/broken.mp4;b;east;lost\n"
    )
    check(str(own), CheckConfig(out=str(clean)))
    assert [row["note"] for row in read_table(str(clean))] == ["two words", ""]
    assert [example.group for example in open_data(clean, group_by=["camera"]).examples] == ["west", "east"]


def test_the_manifest_replaces_no_input_and_no_run(folder, tmp_path):
    own = tmp_path / "list.csv"
    own.write_text(f"path,label\n{folder}/a/1.mp4,a\n{folder}/b/2.mp4,b\n")
    (tmp_path / "link.csv").symlink_to(own)
    for out in (own, tmp_path / "link.csv"):
        with pytest.raises(OutputError, match="an input is never overwritten"):
            check(str(own), CheckConfig(out=str(out)))
    run = tmp_path / "run"
    run.mkdir()
    for name in ("environment.json", "split.csv"):
        (run / name).touch()
    with pytest.raises(OutputError, match="a run is never overwritten"):
        check(str(own), CheckConfig(out=str(run / "split.csv")))
    for _ in range(2):  # one's own earlier result
        assert check(str(own), CheckConfig(out=str(tmp_path / "clean.csv"))) == 0


def test_nothing_left_is_an_error(tmp_path, text_file):
    for label in "ab":
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.mp4").symlink_to(text_file)
    with pytest.raises(DataError, match="nothing is left"):
        check(str(tmp_path), CheckConfig(out=str(tmp_path / "clean.csv")))


def test_the_module_imports_no_torch():
    code = "import sys, kinema.commands.check; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
