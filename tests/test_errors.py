import pickle

import pytest

from kinema.errors import (
    ConfigError,
    DataError,
    KinemaError,
    MissingExtra,
    TooManyBroken,
    UnknownName,
    check_broken,
    check_settings,
    nearest,
)


def test_errors_survive_the_way_between_processes():
    for error in (UnknownName("network", "x", ["xy"]), MissingExtra("Plots", "m", "plots"), DataError("a", "b", "c")):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), copy.exit_status) == (type(error), str(error), error.exit_status)


def test_an_error_is_one_line_and_keeps_the_spaces_of_a_path():
    assert str(DataError("no video", "a  b.mp4", "check\n  it")) == "no video: a  b.mp4: check it"
    assert str(KinemaError("no video", do="check it")) == "no video: check it"


def test_unknown_names_suggest_similar_ones_or_list_all():
    assert str(UnknownName("network", "c3", ["c3d", "i3d_rgb"])).endswith("Did you mean c3d?")
    assert str(UnknownName("network", "zzz", ["c3d", "b"])).endswith("known: b, c3d")
    assert str(UnknownName("network", "zzz", ["c3d"], do="train one")).endswith("train one")
    assert nearest("resnt50", ["resnet50", "resnet5", "resnext", "c3d"]) == ["resnet50", "resnet5"]
    assert nearest("runs/late-1", ["runs/late-2", "runs/late-2", "c3d"]) == ["runs/late-2"], "each is named once"


def test_settings_out_of_range_name_their_option():
    check_settings({"batch_size": 1, "workers": None}, 1)
    with pytest.raises(ConfigError, match="--batch-size must be at least 1: 0"):
        check_settings({"batch_size": 0}, 1)
    with pytest.raises(ConfigError, match="--flip must lie between 0 and 1"):
        check_settings({"flip": float("nan")}, 0, 1)


def test_a_run_may_lose_some_examples_and_not_more():
    broken = {"a.mp4": "empty", "b.mp4": "empty"}
    check_broken(broken, 20, 0.1)
    with pytest.raises(TooManyBroken, match=r"2 of 19 training examples cannot be read: a\.mp4: .*--max-broken"):
        check_broken(broken, 19, 0.1, "training examples")
