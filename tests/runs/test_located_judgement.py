"""What a judgement of located actions says as JSON."""

from kinema.runs.located_judgement import LocatedJudgement


def test_json_has_the_general_names():
    judged = LocatedJudgement(
        protocol="ava", convention="AVA's", figures={"average_map": 0.5}, mean_ap={"0.5": 0.5}, by_class={"run": 0.5},
        num_videos=1, num_true=2, num_answers=3, ignored={"unknown label": 1, "other": 2}, kinds={"right": 1},
    )  # fmt: skip
    document = judged.to_json()
    assert (document["mAP"], document["average_mAP"], document["ignored"]) == ({"0.5": 0.5}, 0.5, 3)
    assert (document["num_truth"], document["num_predictions"], document["errors"]) == (2, 3, {"right": 1})
    assert document["classes"] == {"run": {"average_precision": 0.5}}
    assert "statistics" not in document
    tracks = LocatedJudgement(protocol="mot", convention="", figures={}, num_videos=0, num_true=0, num_answers=0)
    assert tracks.average_map is None
