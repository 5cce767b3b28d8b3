"""Boxes, tubes and tracks in files, judged by the protocol of a benchmark."""

import json

import pytest

from kinema.errors import DataError, UsageError
from kinema.runs.judge_boxes import judge_box_files


def write(path, text) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
    return str(path)


TRUTH = "f,902,0,0,0.5,1,run\nf,902,0,0,0.5,1,run\nf,903,0,0,0.5,1,walk\nf,904\n"
ANSWERS = "f,902,0,0,0.5,1,run,0.9\nf,903,0,0,0.5,1,run,0.8\nf,904,0,0,0.5,1,fly,0.7\nf,990,0,0,0.5,1,run,0.6\n"


def test_boxes_as_ava(tmp_path, caplog):
    truth, answers = write(tmp_path / "t.csv", TRUTH), write(tmp_path / "a.csv", ANSWERS)
    judged = judge_box_files(answers, truth, "ava")
    document = json.loads(json.dumps(judged.to_json()))
    assert document["by_class"] == {"run": 0.5, "walk": 0.0}
    assert (document["mAP"], document["average_mAP"]) == ({"0.5": 0.25}, 0.25)
    assert (document["num_truth"], document["num_predictions"], document["num_doubled"]) == (3, 4, 1)
    assert document["ignored_by_reason"] == {"unknown label": 1, "at a key frame that the truth does not list": 1}
    assert (document["errors"]["right"], document["errors"]["wrong_label"], document["errors"]["missed"]) == (1, 1, 2)
    assert "a.csv, line 3: label 'fly' not in" in caplog.text


def test_a_label_map_and_excluded_key_frames(tmp_path):
    truth, answers = write(tmp_path / "t.csv", TRUTH), write(tmp_path / "a.csv", ANSWERS)
    names, excluded = (
        write(tmp_path / "names.csv", "id,name\n1,walk\n2,run\n3,fly\n"),
        write(tmp_path / "e.csv", "f,902\n"),
    )
    judged = judge_box_files(answers, truth, "ava", label_map=names, excluded=excluded)
    assert judged.by_class == {"walk": 0.0}
    assert judged.ignored["truth at an excluded key frame"] == 2


def test_time_stamps_without_their_offset(tmp_path):
    truth, answers = write(tmp_path / "t.csv", TRUTH), write(tmp_path / "a.csv", ANSWERS.replace("f,9", "f,"))
    with pytest.raises(DataError, match=r"from 2 s on, the truth from 902 s on: .*a.csv: f: .*900 s"):
        judge_box_files(answers, truth, "ava")


def test_no_truth_or_nothing_in_common(tmp_path):
    truth, answers = write(tmp_path / "t.csv", TRUTH), write(tmp_path / "a.csv", ANSWERS)
    with pytest.raises(DataError, match=r"no true box.*empty.csv"):
        judge_box_files(answers, write(tmp_path / "empty.csv", "f,902\n"), "ava")
    with pytest.raises(DataError, match=r"no video of the answers.*did you mean 'f'"):
        judge_box_files(write(tmp_path / "b.csv", ANSWERS.replace("f,9", "f.mp4,9")), truth, "ava")
    with pytest.raises(DataError, match=r"no label of the answers.*first '1'"):
        judge_box_files(write(tmp_path / "c.csv", "f,902,0,0,0.5,1,1,0.9\n"), truth, "ava")
    with pytest.raises(UsageError, match="for the protocol ava"):
        judge_box_files(answers, truth, "mot", label_map="names.txt")


@pytest.mark.parametrize(
    ("convention", "expected"),
    [("plus-one", 6 / 14 * 50 / 150), ("exact", 6 / 14 * 36 / 126), ("multisports", 5 / 13 * 36 / 126)],
)
def test_tubes_in_each_convention(tmp_path, convention, expected):
    def tube(first: int, shift: int) -> dict[str, object]:
        boxes = [[shift, 0, 9 + shift, 9]] * 10
        return {"video": "v", "label": "a", "score": 0.5, "start_frame": first, "boxes_xyxy": boxes}

    path = write(tmp_path / "tubes.json", {"truth": [tube(0, 0)], "predictions": [tube(4, 5)]})
    judged = judge_box_files(path, path, "video-map", convention=convention)
    assert judged.figures["map_at_0.2"] == (expected >= 0.2)
    assert convention in judged.convention
    assert judged.kinds["border"] == (expected >= 0.1)
    same = write(tmp_path / "same.json", {"truth": [tube(0, 0)], "predictions": [tube(0, 0)]})
    assert judge_box_files(same, same, "video-map", convention=convention).to_json()["average_mAP"] == 1


def test_tracks_of_one_file_and_of_folders(tmp_path):
    rows = "1,1,0,0,9,9,1\n2,1,0,0,9,9,1\n"
    truth = write(tmp_path / "truth/one/gt/gt.txt", rows)
    answers = write(tmp_path / "answers/one.txt", rows.replace("2,1,", "2,2,"))
    judged = judge_box_files(answers, truth, "mot")
    assert (judged.figures["mota"], judged.figures["idf1"], judged.kinds["identity_switches"]) == (0.5, 0.5, 1)
    write(tmp_path / "truth/two.txt", rows)
    with pytest.raises(DataError, match="no answers for the video 'two'"):
        judge_box_files(str(tmp_path / "answers"), str(tmp_path / "truth"), "mot")
    write(tmp_path / "answers/two.txt", rows)
    judged = judge_box_files(str(tmp_path / "answers"), str(tmp_path / "truth"), "mot")
    assert (judged.num_videos, judged.figures["mota"], judged.figures["two_mota"]) == (2, 0.75, 1)
