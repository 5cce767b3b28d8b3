"""Frame mAP as AVA's program computes it, on cases computed by hand."""

import csv
import json
import re

import numpy as np
import pytest

from kinema.errors import DataError
from kinema.evaluation.located.boxes import BoxTable, ava_map

LEFT, RIGHT = (0.0, 0.0, 0.4, 1.0), (0.5, 0.0, 0.9, 1.0)


def table(rows) -> BoxTable:
    """Rows of frame, label, box and, for answers, a score."""
    boxes = np.array([row[2] for row in rows], float).reshape(-1, 4)
    scores = np.array([row[3] if len(row) > 3 else 1 for row in rows], float)
    return BoxTable(np.array([r[0] for r in rows], str), np.array([r[1] for r in rows], str), boxes, scores)


def test_there_is_no_second_choice():
    near = (0.0, 0.0, 0.5, 1.0)  # overlaps LEFT by 0.8, and a wider true box by less
    truth = table([("f", "walk", LEFT), ("f", "walk", (0.0, 0.0, 0.7, 1.0))])
    answers = table([("f", "walk", LEFT, 0.9), ("f", "walk", near, 0.8)])
    assert ava_map(truth, answers, ["walk"]).mean_ap == 0.5


def test_a_person_has_several_labels_and_a_class_without_truth_is_left_out_of_the_mean():
    truth = table([("f", "walk", LEFT), ("f", "talk", LEFT)])
    answers = table([("f", "walk", LEFT, 0.9), ("f", "talk", RIGHT, 0.9), ("f", "sing", LEFT, 0.9)])
    scores = ava_map(truth, answers, ["walk", "talk", "run"])
    assert scores.average_precision[:2] == (1.0, 0.0)
    assert np.isnan(scores.average_precision[2])
    assert (scores.mean_ap, scores.num_unknown) == (0.5, 1)


def test_answers_at_listed_frames_without_persons_are_wrong_and_at_other_frames_left_out():
    truth = table([("f", "walk", LEFT)])
    answers = table([("empty", "walk", LEFT, 0.9), ("f", "walk", LEFT, 0.8)])
    assert ava_map(truth, answers, ["walk"], key_frames=["empty"]).mean_ap == 0.5
    scores = ava_map(truth, answers, ["walk"])
    assert (scores.mean_ap, scores.num_unlisted) == (1.0, 1)
    assert ava_map(truth, answers, ["walk"], key_frames=["empty"], excluded=["empty"]).mean_ap == 1.0


def test_the_limit_is_over_all_classes_of_a_frame():
    truth = table([("f", "walk", LEFT)])
    answers = table([("f", "talk", RIGHT, 0.9), ("f", "walk", LEFT, 0.1)])
    scores = ava_map(truth, answers, ["walk", "talk"], max_answers=1)
    assert (scores.average_precision[0], scores.num_over_limit) == (0.0, 1)


def test_bad_boxes_and_missing_truth():
    with pytest.raises(DataError, match=r"left < right.*: f: walk"):
        table([("f", "walk", (0.4, 0, 0.4, 1))])
    with pytest.raises(DataError, match="no true box"):
        ava_map(table([]), table([("f", "walk", LEFT, 1)]), ["walk"])


@pytest.mark.real_data
def test_the_official_program_gives_the_same(real_data):
    folder = real_data.parent / "golden/where"
    pairs = re.findall(r'name: "(.*?)"\s+id: (\d+)', (folder / "ava_labels.pbtxt").read_text())
    names = {number: name for name, number in pairs}
    rows = {
        name: list(csv.reader((folder / f"ava_{name}.csv").read_text().splitlines())) for name in ("truth", "pred")
    }  # fmt: skip
    truth, answers = (
        table(
            [
                (f"{r[0]} {int(r[1])}", names.get(r[6], r[6]), [float(x) for x in r[2:6]], *map(float, r[7:]))
                for r in side
                if len(r) > 2
            ]
        )
        for side in (rows["truth"], rows["pred"])
    )
    scores = ava_map(truth, answers, list(names.values()), key_frames={f"{r[0]} {int(r[1])}" for r in rows["truth"]})
    official = json.loads((folder / "ava_expected.json").read_text())["official"]
    assert scores.mean_ap == pytest.approx(official["PascalBoxes_Precision/mAP@0.5IOU"], abs=1e-6)
