import pytest

from kinema.errors import ConfigError, DataError, UnknownName
from kinema.labels import Labels


def test_labels_know_their_indices_and_the_nearest_name(tmp_path):
    labels = Labels.of(["walk", "run", "run"])
    assert (list(labels), labels.index("walk"), "run" in labels) == (["run", "walk"], 1, True)
    labels.write(tmp_path / "labels.txt")
    assert Labels.read(tmp_path / "labels.txt") == labels
    with pytest.raises(UnknownName, match="Did you mean walk"):
        labels.index("wlak")
    with pytest.raises(DataError, match="twice"):
        Labels(("a", "a"))
    with pytest.raises(DataError, match="class names"):
        Labels.read(tmp_path / "missing.txt")


def test_classes_that_a_mirror_turns_into_each_other():
    labels = Labels(("left", "right", "up", "a=b"))
    assert labels.mirrored([]) == (0, 1, 2, 3)
    assert labels.mirrored(["left = right"]) == (1, 0, 2, 3)
    assert labels.mirrored(["a=b=up"]) == (0, 1, 3, 2)
    for wrong in (["left"], ["left=left"], ["left=right", "right=up"]):
        with pytest.raises(ConfigError):
            labels.mirrored(wrong)
    with pytest.raises(UnknownName, match="Did you mean left"):
        labels.mirrored(["leftt=right"])


def test_classes_that_turn_into_each_other_backwards():
    labels = Labels(("open", "shake", "close", "wave"))
    assert labels.reversed([]) == (-1, -1, -1, -1)
    assert labels.reversed(["open = close", "shake=shake"]) == (2, 1, 0, -1)
    for wrong in (["open"], ["open=close", "close=wave"], ["open=open", "open=close"]):
        with pytest.raises(ConfigError):
            labels.reversed(wrong)
    with pytest.raises(UnknownName, match="Did you mean open"):
        labels.reversed(["opne=close"])


def test_a_name_is_the_same_in_both_forms_of_unicode():
    labels = Labels(("Schla\u0308gerei", "ruhig"))
    assert labels.index("Schl\u00e4gerei") == labels.index("Schla\u0308gerei") == 0
