"""Located actions judged by the protocol of a benchmark."""

import json
import time

import numpy as np
import pytest

from kinema.errors import DataError
from kinema.evaluation.located.segments import SegmentTable
from kinema.runs.judge_segments import CONVENTIONS, judge_segment_files, judge_segments


def table(*rows) -> SegmentTable:
    """Rows of video, label, start, end and, for answers, a score."""
    times = np.array([row[2:4] for row in rows], float).reshape(-1, 2)
    scores = np.array([row[4] if len(row) > 4 else 1 for row in rows], float)
    return SegmentTable(np.array([r[0] for r in rows], str), np.array([r[1] for r in rows], str), times, scores)


TRUTH = table(("v", "a", 0, 10), ("v", "a", 0, 10), ("w", "b", 5, 6))
ANSWERS = table(("v", "a", 0, 10, 0.9), ("w", "b", 5, 6, 0.8), ("w", "c", 1, 2, 0.7))


@pytest.mark.parametrize("protocol", CONVENTIONS)
def test_every_protocol_gives_figures_and_counts(protocol):
    judged = judge_segments(TRUTH, ANSWERS, protocol)
    assert judged.convention
    assert all(np.isfinite(value) for value in judged.figures.values())
    assert (judged.num_videos, judged.num_true, judged.num_answers, judged.num_unknown) == (2, 3, 3, 1)
    document = json.loads(json.dumps(judged.to_json()))
    assert document["kinds"]["right"] == 2
    assert (document["errors"], document["num_truth"], document["num_predictions"]) == (document["kinds"], 3, 3)


def test_protocols_have_their_thresholds():
    assert "map_at_0.95" in judge_segments(TRUTH, ANSWERS, "activitynet").figures
    assert "map_at_0.3" in judge_segments(TRUTH, ANSWERS, "thumos").figures
    assert "map_at_0.1" in judge_segments(TRUTH, ANSWERS, "thumos2014").figures


def test_truth_that_stands_twice_halves_recall_unless_it_is_left_out():
    kept, left_out = (judge_segments(TRUTH, ANSWERS, "thumos", remove_doubled=remove) for remove in (False, True))
    assert (kept.num_doubled, kept.by_class) == (1, {"a": 0.5, "b": 1.0})
    assert (left_out.num_doubled, left_out.num_true, left_out.by_class) == (1, 2, {"a": 1.0, "b": 1.0})


@pytest.mark.parametrize("protocol", CONVENTIONS)
def test_no_truth_is_an_error(protocol):
    with pytest.raises(DataError, match="no true segment"):
        judge_segments(table(), ANSWERS, protocol)


def test_map_by_threshold_and_answers_that_are_left_out():
    document = judge_segments(TRUTH, ANSWERS, "thumos", remove_doubled=True).to_json()
    assert document["mAP"] == {"0.3": 1.0, "0.4": 1.0, "0.5": 1.0, "0.6": 1.0, "0.7": 1.0}
    assert (document["average_mAP"], document["classes"]["a"]) == (1.0, {"average_precision": 1.0})
    assert (document["ignored"], document["ignored_by_reason"]) == (1, {"unknown label": 1})
    assert document["thresholds"] == (0.3, 0.4, 0.5, 0.6, 0.7)


def test_segmental_figures_of_seconds_are_those_of_frames():
    truth = table(("v", "a", 0, 4), ("v", "b", 4, 8), ("v", "a", 9, 10), ("w", "b", 0, 5))
    answers = table(("v", "a", 0, 3, 1), ("v", "b", 3, 6, 1), ("v", "b", 6, 8, 1), ("v", "none", 8, 12, 1))
    figures = judge_segments(truth, answers, "segmental", background=["none"], durations_s={"v": 10, "w": 5}).figures
    # Frames: v aaaabbbb-a, aaabbbbb--; w bbbbb, -----. Edit: aba to ab, b to nothing. F1: 4 / 5 and 0.
    assert figures["accuracy"] == pytest.approx((8 / 10 + 0) / 2)
    assert figures["accuracy_pooled"] == pytest.approx(8 / 15)
    assert figures["edit"] == pytest.approx((2 / 3 + 0) / 2)
    assert (figures["f1_at_50"], figures["f1_at_50_pooled"]) == pytest.approx((0.4, 4 / 6))


def test_segmental_figures_need_one_label_at_a_time():
    answers = table(("v", "a", 0, 4, 1), ("v", "b", 3, 6, 1))
    with pytest.raises(DataError, match=r"b from 3 to 6 s begins before another label ends, at 4 s: v"):
        judge_segments(TRUTH, answers, "segmental")


def write(path, rows: str) -> str:
    path.write_text(f"video,label,start,end,score\n{rows}", encoding="utf-8")
    return str(path)


def test_files_are_judged_and_counted(tmp_path):
    truth = write(tmp_path / "truth.csv", "v,a,0,10,\nv,a,20,30,\n")
    judged = judge_segment_files(write(tmp_path / "answers.csv", "v,a,0,10,0.5\n"), truth, "thumos", stats=True)
    assert judged.figures["average_map"] == 0.5
    (row,) = judged.to_json()["statistics"]["truth"]
    assert (row["label"], row["count"], row["longest_gap_s"]) == ("a", 2, 10)


def test_answers_of_other_videos_or_labels_name_the_row(tmp_path, caplog):
    truth = write(tmp_path / "truth.csv", "v,jump,0,10,\nv,run,20,30,\n")
    with pytest.raises(
        DataError, match=r"no video of the answers is in .*truth.csv, first 'v.mp4'.*line 2.*did you mean 'v'"
    ):
        judge_segment_files(write(tmp_path / "a.csv", "v.mp4,jump,0,10,0.5\n"), truth, "thumos")
    with pytest.raises(DataError, match=r"no label of the answers is in .*first 'jumps'.*line 2.*did you mean 'jump'"):
        judge_segment_files(write(tmp_path / "a.csv", "v,jumps,0,10,0.5\n"), truth, "thumos")
    judge_segment_files(write(tmp_path / "a.csv", "v,jump,0,10,0.5\nv,jumps,0,10,0.5\n"), truth, "thumos")
    assert "a.csv, line 3: label 'jumps' not in" in caplog.text


def test_an_answer_outside_its_video_names_the_row(tmp_path):
    truth = tmp_path / "truth.json"
    video = {"duration": 30, "subset": "test", "annotations": [{"segment": [0, 10], "label": "a"}]}
    truth.write_text(json.dumps({"database": {"v": video, "w": {"subset": "hidden", "annotations": []}}}))
    answers = write(tmp_path / "answers.csv", "v,a,0,32,0.5\nv,a,300,310,0.5\n")
    with pytest.raises(DataError, match=r"outside its video of 30 s .300 to 310 s.: .*answers.csv, line 3"):
        judge_segment_files(answers, str(truth), "activitynet")
    with pytest.raises(DataError, match=r"no true segment in the part 'hidden': .*truth.json"):
        judge_segment_files(answers, str(truth), "activitynet", subset="hidden")


def test_proposals_need_no_label(tmp_path):
    proposed, truth = tmp_path / "proposals.json", write(tmp_path / "truth.csv", "v,a,0,10,\nv,a,20,30,\n")
    proposed.write_text(json.dumps({"results": {"v": [{"segment": [0, 10], "score": 0.9}]}}))
    assert judge_segment_files(str(proposed), truth, "proposals").figures["ar_at_100"] == 0.5


def test_events_in_files(tmp_path):
    truth = tmp_path / "truth.csv"
    truth.write_text("video,time,label,visibility\nv,10,a,\nv,40,a,not shown\n")
    answers = tmp_path / "answers.csv"
    answers.write_text("video,time,label,score\nv,11,a,0.9\nv,90,b,0.8\n")
    judged = judge_segment_files(str(answers), str(truth), "spotting")
    assert judged.figures["average_map"] == pytest.approx(6 / 11)
    assert judged.figures["average_map_visible"] == pytest.approx(1)
    assert (judged.num_true, judged.num_answers, judged.ignored) == (2, 2, {"unknown label": 1})
    assert (judged.kinds["right"], judged.kinds["missed"]) == (1, 1)


def hundred_thousand(rng, truth: bool) -> SegmentTable:
    """100,000 segments, one after another in each of 200 videos, of 20 classes."""
    videos = np.repeat([f"video_{number:04}" for number in range(200)], 500)
    starts = np.tile(np.arange(500) * 10.0, 200) + rng.uniform(0, 2, 100_000)
    labels = np.array([f"class_{number:02}" for number in range(20)])[np.arange(100_000) % 20]
    ends = starts + rng.uniform(3, 8, 100_000)
    return SegmentTable(videos, labels, np.stack([starts, ends], 1), np.ones(100_000) if truth else rng.random(100_000))


@pytest.mark.slow
@pytest.mark.parametrize("protocol", CONVENTIONS)
def test_a_hundred_thousand_segments_take_seconds(protocol):
    rng = np.random.default_rng(0)
    truth, answers = hundred_thousand(rng, True), hundred_thousand(rng, False)
    started = time.process_time()
    judge_segments(truth, answers, protocol)
    assert time.process_time() - started < 10
