"""Results replace earlier results of the same command, and nothing else."""

from __future__ import annotations

import pytest

from kinema.console.outputs import check_result, check_results
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
