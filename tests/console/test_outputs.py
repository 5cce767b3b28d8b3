"""Results replace earlier results of the same command, and nothing else."""

from __future__ import annotations

import pytest

from kinema.console.outputs import check_result, check_results, output_names
from kinema.errors import OutputError


def test_a_folder_is_free_or_has_earlier_results_of_the_same_command(tmp_path):
    check_results(tmp_path / "new", ["a.csv"], own="compare.json")
    (tmp_path / "a.csv").touch()
    with pytest.raises(OutputError, match=r"a file of that name: .*a\.csv"):
        check_results(tmp_path, ["a.csv"], own="compare.json")
    (tmp_path / "compare.json").touch()
    check_results(tmp_path, ["a.csv"], own="compare.json")
    with pytest.raises(OutputError, match="a comparison is never overwritten"):
        check_results(tmp_path, ["b.csv"], own="evaluation.json")


def test_a_single_file_replaces_no_input_and_no_part_of_a_run(tmp_path):
    check_result(tmp_path / "new.csv", [])
    path = tmp_path / "list.csv"
    path.touch()
    (tmp_path / "link.csv").symlink_to(path)
    check_result(path, [tmp_path / "other.csv"])
    with pytest.raises(OutputError, match="an input is never overwritten"):
        check_result(tmp_path / "link.csv", [path])
    (tmp_path / "environment.json").touch()
    with pytest.raises(OutputError, match="a run is never overwritten"):
        check_result(path, [])


def test_outputs_keep_folders_and_never_share_a_name(tmp_path):
    for name in ("a/x.mp4", "b/x.mp4", "b/X.avi", "test.mp4", "test.avi", "one.mp4", "b/x.mp4.avi"):
        path = tmp_path / "films" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    films = tmp_path / "films"
    sources = [str(films / name) for name in ("a/x.mp4", "b/x.mp4", "b/X.avi", "test.mp4", "test.avi", "one.mp4")]
    names = [str(name) for name in output_names(sources, [str(films)]).values()]
    assert names == ["a/x", "b/x.mp4", "b/X.avi", "test.mp4", "test.avi", "one"]
    # Without a common folder the second file of a name gets a number.
    alone = [str(films / name) for name in ("a/x.mp4", "b/x.mp4")]
    assert [str(name) for name in output_names(alone, alone).values()] == ["x", "x-2"]
    # A stem that is another file's whole name.
    tricky = [str(films / "b" / name) for name in ("x.mp4", "X.avi", "x.mp4.avi")]
    given = [str(name).casefold() for name in output_names(tricky, tricky).values()]
    assert len(set(given)) == 3
