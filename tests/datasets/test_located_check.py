"""What `check` says about the times of actions."""

from __future__ import annotations

from kinema.datasets import open_data
from kinema.datasets.check import check_data
from kinema.datasets.located_check import check_located
from kinema.errors import DataError


def test_each_kind_of_fault_is_named(manifest):
    rows = ["a.mp4,run,0,2,train", "a.mp4,run,1,3,train", "a.mp4,run,1.5,1.8,train", "a.mp4,jump,2,9.5,train"]
    rows += ["b.mp4,run,0,10.05,valid", "c.mp4,,,,valid"]
    data = open_data(manifest("\n".join(["path,label,start,end,split", *rows])))
    folder = data.examples[0].path.removesuffix("a.mp4")
    report = check_located(data, {f"{folder}a.mp4": 9.0, f"{folder}b.mp4": 10.0})
    assert (report.num_actions, report.num_videos_without_actions) == (5, 1)
    assert report.past_end == ("a.mp4: jump from 2 to 9.5 s, but the video ends at 9 s",)
    assert report.overlapping == (
        "a.mp4: run from 0 to 2 s and 1 to 3 s", "a.mp4: run from 1 to 3 s and 1.5 to 1.8 s",
    )  # fmt: skip
    assert report.in_one_part == ("jump: train",)


def test_clips_without_times_have_no_such_report(manifest):
    assert check_located(open_data(manifest("path,label\na.mp4,run\nb.mp4,jump\n")), {}) is None


def test_rows_that_cannot_be_used_are_all_named(listed, counting_video, tmp_path):
    data = listed(("a", 1, 2), ("b", 2, 6))
    with open(tmp_path / "rows.csv", "a") as file:
        file.write(f"{counting_video},a,3,3,\n{counting_video},a,1,2,\nnowhere.mp4,a,1,2,\n{counting_video},,,,\n")
    faults: list[DataError] = []
    data = open_data(tmp_path / "rows.csv", faults=faults)
    report = check_data(data, near=False, faults=faults)
    kinds = [fault.partition(":")[0] for fault in report.faults]
    assert kinds == ["no span", "a row stands twice", "1 of 4 listed files do not exist"]
    found = report.to_json()
    assert (found["ok"], len(found["located"]["past_end"]), found["located"]["num_videos_without_actions"]) == (
        False,
        1,
        0,
    )
